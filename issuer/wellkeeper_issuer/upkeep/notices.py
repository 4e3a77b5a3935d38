"""What the administrator is told about a certificate: failure, danger, recovery, once each and not per retry."""

from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.obtain.due import latest_at
from wellkeeper_issuer.records import Failure, Notice, Schedule

# Of the time between the planned renewal and expiry.
_DANGER_SHARE: Final = 3


def owed(failure: Failure | None, schedule: Schedule | None, sent: frozenset[Notice], now: datetime) -> Notice | None:
    """The one notice that is to be handed over now; `told` is what was handed over since the last recovery.

    What could not be handed over is not in `told`, and owed still. Danger says that it fails, too. Nothing is owed for
    a series of failures that ended before anybody heard of it.
    """
    if schedule is not None and now >= danger_at(schedule):
        return None if Notice.DANGER in sent else Notice.DANGER
    if failure is not None:
        return None if sent else Notice.FAILURE
    # One that is due still, as a revoked one is, has not recovered, even if nothing failed (its CA was not asked).
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
