"""The run of one certificate through a pass, and the report of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from wellkeeper_issuer.errors import DeferredError, HookError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.records import Failure, Issued, LineageRecord, Occasion
from wellkeeper_issuer.reports import Outcome, Report
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.model import Certificate, Flip, Identifier, Installed, Served
from wellkeeper_node.steps import Steps


@dataclass
class CertificateRun:
    """The state of one certificate in this pass, filled in step by step.

    `before` is the record at its start; `record` is kept as the steps change it.
    """

    lineage: Lineage
    steps: Steps
    before: LineageRecord = field(default_factory=LineageRecord)
    record: LineageRecord = field(default_factory=LineageRecord)
    installed: Installed | None = None
    reason: str = "not due"
    error: Exception | None = None
    waits: Failure | None = None
    deferred: DeferredError | None = None
    left_out: WellkeeperError | None = None
    flip: Flip | None = None
    issued: Issued | None = None
    served: Served | None = None
    is_to_be_verified: bool = False
    certificate: Certificate | None = None
    has_returned: bool = False

    @property
    def outcome(self) -> Outcome:
        if self.error:
            return Outcome.FAILED
        if self.waits or self.deferred:
            return Outcome.WAITING
        if self.served is None:
            return Outcome.UNCHANGED
        if self.served.is_hidden:
            return Outcome.INSTALLED
        return Outcome.SERVED if self.served.is_served else Outcome.NOT_SERVED_YET

    @property
    def is_loaded(self) -> bool:
        """Return whether nginx has loaded the newest version, if there was no error."""
        return self.flip is not None or (self.installed is not None and self.before.undelivered is None)

    @property
    def version(self) -> str:
        """The version that nginx is to serve; empty without one."""
        if self.flip is not None:
            return self.flip.after
        return self.installed.version if self.installed else ""

    @property
    def renewed(self) -> tuple[Identifier, ...]:
        """The identifiers that were installed and loaded in this pass, even if a hook failed."""
        if self.flip is None or not (self.error in {None, self.left_out} or isinstance(self.error, HookError)):
            return ()
        left_out = self.left_out.identifiers if self.left_out else ()
        return tuple(one for one in self.lineage.identifiers if one not in left_out)

    @property
    def failed(self) -> tuple[Identifier, ...]:
        """The identifiers whose renewal failed in this pass."""
        return tuple(one for one in self.lineage.identifiers if one not in self.renewed) if self.error else ()

    @property
    def next_try_at(self) -> datetime | None:
        if self.waits:
            return self.waits.next_try_at
        return self.deferred.retry_at if self.deferred else None

    def report(self) -> Report:
        return Report(
            lineage=self.lineage.name,
            outcome=self.outcome,
            reason=self.reason,
            detail=self.served.detail if self.served and not self.served.is_served else "",
            certificate=self.certificate,
            served_fingerprint_sha256=self.served.fingerprint_sha256 if self.served else None,
            seconds=dict(self.steps.seconds),
            error=self.error,
            next_try_at=self.next_try_at,
        )


def occasion_after(runs: Sequence[CertificateRun]) -> Occasion:
    """Return the input of the post hook."""
    renewed = tuple(name for run in runs for name in run.renewed)
    failed = tuple(name for run in runs for name in run.failed)
    return Occasion(tuple(run.lineage.name for run in runs), renewed=renewed, failed=failed)
