"""What a pass tells about each certificate."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum

from wellkeeper_issuer.records import Failure, Schedule
from wellkeeper_node.model import Certificate
from wellkeeper_node.wording import format_exact_time, times_in_a_row


class Mode(Enum):
    """How much a pass is asked for: what is due; also what waits after a failure; everything.

    Of what was revoked it is remembered that it has to be replaced, until it is.
    """

    SCHEDULED = "scheduled"
    RETRY = "retry"
    FORCED = "forced"
    REVOKED = "revoked"


class Outcome(StrEnum):
    """How a pass ended for one certificate; waiting: it is due, and not to be tried before `next_try_at`."""

    UNCHANGED = "unchanged"
    WAITING = "waiting"
    SERVED = "served"
    NOT_SERVED_YET = "installed, not served yet"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """What a pass did for one certificate; `seconds` by stage, in the order in which they ran.

    `reason` says why it was done, `detail` what is left to do. Where nothing was looked at, what is known of the
    certificate stands in `schedule`.
    """

    lineage: str
    outcome: Outcome
    reason: str
    detail: str = ""
    certificate: Certificate | None = None
    served_fingerprint_sha256: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    error: Exception | None = None
    next_try_at: datetime | None = None
    schedule: Schedule | None = None


def waiting(failure: Failure) -> str:
    """Why nothing is tried now."""
    return (
        f"it failed {times_in_a_row(failure.count)} ({failure.stage}: {failure.message}); the next try is at "
        f"{format_exact_time(failure.next_try_at)}, 'wellkeeper renew {failure.lineage}' tries now"
    )
