"""Choose the notices about a certificate: failure, danger and recovery, once each and not per retry."""

from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.obtain.due import latest_at
from wellkeeper_issuer.records import Failure, Notice, Schedule

# A third of the time between the planned renewal and expiry.
_DANGER_SHARE: Final = 3


def owed(failure: Failure | None, schedule: Schedule | None, sent: frozenset[Notice], now: datetime) -> Notice | None:
    """Return the notice to send now, or None; `sent` are those sent since the last recovery.

    A notice that could not be sent is not in `sent`, and still owed. Danger includes failure. A series of failures that
    ended before a notice was sent needs none.
    """
    if schedule is not None and now >= danger_at(schedule):
        return None if Notice.DANGER in sent else Notice.DANGER
    if failure is not None:
        return None if sent else Notice.FAILURE
    # A certificate that is still due, such as a revoked one, has not recovered, even if nothing failed.
    is_due = schedule is not None and now >= schedule.renew_at
    return Notice.RECOVERY if sent and not is_due else None


def turning_points(schedule: Schedule) -> tuple[datetime, ...]:
    """Return when the danger notice is due, and when our own waits no longer count."""
    return danger_at(schedule), latest_at(schedule.not_before, schedule.not_after)


def danger_at(schedule: Schedule) -> datetime:
    """Return when a third is left of the time between the planned renewal and expiry.

    If the CA suggests a renewal after expiry, danger begins with expiry.
    """
    for_renewing = max(schedule.not_after - schedule.renew_at, timedelta())
    return schedule.not_after - for_renewing / _DANGER_SHARE
