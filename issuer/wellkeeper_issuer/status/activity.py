"""Count what a daemon does from its start on: requests to CAs, stages of renewals, and failures.

Plain numbers, which `activity_metrics` exports. The labels have few values: a CA's unknown words count as `other`.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.reports import Mode, Outcome, Report
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.ports import Progress

# RFC 8555 section 6.7, RFC 9773 section 5, and profiles (draft-ietf-acme-profiles).
_NAMES: Final = (
    "accountDoesNotExist alreadyReplaced alreadyRevoked badCSR badNonce badPublicKey badRevocationReason"
    " badSignatureAlgorithm caa compound connection dns externalAccountRequired incorrectResponse invalidContact"
    " invalidProfile malformed orderNotReady rateLimited rejectedIdentifier serverInternal tls unauthorized"
    " unsupportedContact unsupportedIdentifier userActionRequired"
)
_PROBLEMS: Final = frozenset(_NAMES.split())
_STAGES: Final = ("order", "publish", "validate", "finalize", "install", "reload", "verify", "deploy")
STAGE_SECONDS: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
REQUEST_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0)


def problem_label(name: str | None) -> str:
    """Return the name of a problem as a label: "" without one, `other` for a name that no RFC has."""
    if name is None or name in _PROBLEMS:
        return name or ""
    return "other"


class Durations:
    """A histogram: the number of durations up to each bound (and of longer ones), and their sum."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum_seconds = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum_seconds += seconds


class Activity:
    """The counts of one daemon."""

    def __init__(self) -> None:
        self.failures: Counter[tuple[str, str]] = Counter()
        # Prometheus sees the increase of a series only from its second value on.
        self.stages: defaultdict[str, Durations] = defaultdict(lambda: Durations(STAGE_SECONDS))
        for stage in _STAGES:
            self.stages[stage] = Durations(STAGE_SECONDS)
        self.requests: Counter[tuple[str, str]] = Counter()
        self.latencies: defaultdict[str, Durations] = defaultdict(lambda: Durations(REQUEST_SECONDS))

    def count_request(self, ca: str, status: int | None, seconds: float) -> None:
        """Count a request to this CA; `status` is None without a reply."""
        self.requests[ca, f"{status // 100}xx" if status else "none"] += 1
        self.latencies[ca].add(seconds)

    def count_failure(self, error: Exception | None) -> None:
        """Count a failed renewal."""
        if isinstance(error, WellkeeperError):
            self.failures[error.stage, problem_label(error.problem.name if error.problem else None)] += 1
        else:
            self.failures["unexpected", ""] += 1


class CountedProgress:
    """Implements `ports.Progress`: counts finished stages, and passes everything on."""

    def __init__(self, progress: Progress, activity: Activity) -> None:
        self._progress = progress
        self._activity = activity
        self.started = progress.started
        self.failed = progress.failed
        self.note = progress.note

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._activity.stages[stage].add(seconds)
        self._progress.finished(lineage, stage, seconds, detail)


class Passes(Protocol):
    """The part of `wellkeeper_issuer.passes.Passes` that a daemon uses."""

    async def run(self, lineages: Sequence[Lineage], mode: Mode) -> list[Report]: ...

    def slot(self, name: str) -> AbstractAsyncContextManager[None]: ...


class CountedPasses:
    """Passes whose failures are counted."""

    def __init__(self, passes: Passes, activity: Activity) -> None:
        self._passes = passes
        self._activity = activity
        self.slot = passes.slot

    async def run(self, lineages: Sequence[Lineage], mode: Mode) -> list[Report]:
        reports = await self._passes.run(lineages, mode)
        for report in reports:
            if report.outcome is Outcome.FAILED:
                self._activity.count_failure(report.error)
        return reports
