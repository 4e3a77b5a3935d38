"""Choose the notices about a certificate: failure, danger and recovery, once each and not per retry."""

from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.obtain.due import latest_at, renew_at
from wellkeeper_issuer.records import Check, LineageRecord, Notice, Schedule

# A third of the time between the planned renewal and expiry.
_DANGER_SHARE: Final = 3


def owed(record: LineageRecord, now: datetime) -> Notice | None:
    """Return the notice to send now, or None.

    A notice that could not be sent is not in `notices`, and still owed. Danger includes failure. A series of
    failures that ended before a notice was sent needs none.
    """
    failure, schedule, sent = record.failure, record.schedule, record.notices
    if is_in_danger(schedule, record.check, now):
        return None if Notice.DANGER in sent else Notice.DANGER
    if failure is not None:
        return None if sent else Notice.FAILURE
    # A certificate that is still due, such as a revoked one, has not recovered, even if nothing failed.
    is_due = schedule is not None and now >= schedule.renew_at
    return Notice.RECOVERY if sent and not is_due else None


def is_in_danger(schedule: Schedule | None, check: Check | None, now: datetime) -> bool:
    """Return whether little time is left: for the installed certificate, or for the one that clients get instead."""
    if schedule is not None and now >= danger_at(schedule):
        return True
    if check is None or check.leaf_not_before is None or check.leaf_not_after is None:
        return False
    planned_at = renew_at(check.leaf_not_before, check.leaf_not_after)
    return now >= _danger(planned_at, check.leaf_not_after)


def turning_points(schedule: Schedule) -> tuple[datetime, ...]:
    """Return when the danger notice is due, and when our own waits no longer count."""
    return danger_at(schedule), latest_at(schedule.not_before, schedule.not_after)


def danger_at(schedule: Schedule) -> datetime:
    """Return when a third is left of the time between the planned renewal and expiry.

    If the CA suggests a renewal after expiry, danger begins with expiry.
    """
    return _danger(schedule.renew_at, schedule.not_after)


def _danger(planned_at: datetime, not_after: datetime) -> datetime:
    return not_after - max(not_after - planned_at, timedelta()) / _DANGER_SHARE
