"""The report of a pass about each certificate."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum

from wellkeeper_issuer.records import Failure, Schedule
from wellkeeper_node.model import Certificate
from wellkeeper_node.wording import format_exact_time, times_in_a_row


class Mode(Enum):
    """The scope of a pass: what is due; also what waits after a failure; everything.

    REVOKED records that the certificate has to be replaced, until it is.
    """

    SCHEDULED = "scheduled"
    RETRY = "retry"
    FORCED = "forced"
    REVOKED = "revoked"


class Outcome(StrEnum):
    """The result for one certificate; waiting means due, but not tried before `next_try_at`.

    Installed means that nginx has loaded it where no handshake can show it.
    """

    UNCHANGED = "unchanged"
    WAITING = "waiting"
    SERVED = "served"
    INSTALLED = "installed"
    NOT_SERVED_YET = "installed, not served yet"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Report:
    """The work of a pass on one certificate; `seconds` by stage, in the order in which they ran.

    `reason` is why it was done, `detail` what is left to do. If the certificate was not read, `schedule` holds what is
    recorded about it.
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
    """Return why the certificate is not tried now."""
    return (
        f"it failed {times_in_a_row(failure.count)} ({failure.stage}: {failure.message}); the next try is at "
        f"{format_exact_time(failure.next_try_at)}; 'wellkeeper renew {failure.lineage}' retries now"
    )
