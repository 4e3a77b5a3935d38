"""The run of one certificate through a pass, and the report of it."""

from dataclasses import dataclass, field
from datetime import datetime

from wellkeeper_issuer.errors import DeferredError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.records import Failure, Issued, LineageRecord
from wellkeeper_issuer.reports import Outcome, Report
from wellkeeper_node.model import Certificate, Flip, Installed, Served
from wellkeeper_node.steps import Steps


@dataclass
class CertificateRun:
    """The state of one certificate in this pass, filled in step by step; `record` is kept as the steps change it."""

    lineage: Lineage
    steps: Steps
    record: LineageRecord = field(default_factory=LineageRecord)
    installed: Installed | None = None
    reason: str = "not due"
    error: Exception | None = None
    waits: Failure | None = None
    deferred: DeferredError | None = None
    flip: Flip | None = None
    issued: Issued | None = None
    served: Served | None = None
    is_to_be_verified: bool = False
    certificate: Certificate | None = None

    @property
    def outcome(self) -> Outcome:
        if self.error:
            return Outcome.FAILED
        if self.waits or self.deferred:
            return Outcome.WAITING
        if self.served is None:
            return Outcome.UNCHANGED
        return Outcome.SERVED if self.served.is_served else Outcome.NOT_SERVED_YET

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
