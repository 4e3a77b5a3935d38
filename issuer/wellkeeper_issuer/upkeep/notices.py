"""What the administrator is told about a certificate: failure, danger, recovery, once each and not per retry."""

from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.obtain.due import latest_at
from wellkeeper_issuer.records import Failure, Notice, Schedule

# Of the time between the planned renewal and expiry.
_DANGER_SHARE: Final = 3


def owed(failure: Failure | None, schedule: Schedule | None, sent: frozenset[Notice], now: datetime) -> Notice | None:
    """Return the one notice to send now; `sent` has those sent since the last recovery.

    A notice that could not be sent is not in `sent`, so it is still owed. Danger implies failure. Nothing is owed for a
    series of failures that ended before its notice was sent.
    """
    if schedule is not None and now >= danger_at(schedule):
        return None if Notice.DANGER in sent else Notice.DANGER
    if failure is not None:
        return None if sent else Notice.FAILURE
    # A certificate that is still due, as a revoked one is, has not recovered even if nothing failed.
    is_due = schedule is not None and now >= schedule.renew_at
    return Notice.RECOVERY if sent and not is_due else None


def turning_points(schedule: Schedule) -> tuple[datetime, ...]:
    """When the administrator is told of danger, and when no wait of our own counts any more."""
    return danger_at(schedule), latest_at(schedule.not_before, schedule.not_after)


def danger_at(schedule: Schedule) -> datetime:
    """When less than a third is left of the time that there was for renewing, or none.

    A time of renewal after expiry (a CA may suggest what it likes) leaves no time: then danger begins with expiry.
    """
    for_renewing = max(schedule.not_after - schedule.renew_at, timedelta())
    return schedule.not_after - for_renewing / _DANGER_SHARE
