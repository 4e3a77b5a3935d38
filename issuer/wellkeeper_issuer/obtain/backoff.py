"""Compute how long to wait after a failure before the next try: longer each time, but never forever.

1 min, 10 min, 100 min, 1 day. A time that the CA named comes first; a failure that no retry fixes waits for days; a
certificate that is about to expire waits for an hour at most. All waits follow from the certificate's own dates.
"""

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.obtain.blocks import is_away
from wellkeeper_issuer.obtain.due import latest_at
from wellkeeper_issuer.records import Failure
from wellkeeper_node.errors import Retry, WellkeeperError

_DAY: Final = timedelta(days=1)
# Let's Encrypt's integration guide. A name that always fails is tried once a day; Let's Encrypt pauses names after
# 1 152 failures in a row.
_WAITS: Final = (timedelta(minutes=1), timedelta(minutes=10), timedelta(minutes=100), _DAY)
_FIRST_LATER: Final = 3
# Only an administrator can fix these; they are still retried, less and less often, since a fix is not reported to us.
_RAREST_DAYS: Final = 7
# A part of the lifetime, so that a six-day certificate is tried as often in its life as a ninety-day one.
_LONGEST_SHARE: Final = 10
# Longer waits are shortened by up to a fifth, so that certificates that failed together are not retried together.
_JITTERED_FROM: Final = timedelta(minutes=10)
_JITTER: Final = 0.2

# The last part of the lifetime, and a week after expiry: for a longer failure an hour makes no difference.
_EMERGENCY_AFTER_EXPIRY: Final = timedelta(days=7)
_EMERGENCY_WAIT: Final = timedelta(hours=1)
_SHARE_OF_LAST_TRIES: Final = 100
# An unavailable CA is asked once an hour for all certificates (`blocks`): once it is back, none must wait for a day.
_AWAY_WAIT: Final = timedelta(hours=1)
# The longest window of a limit that a CA has published; a date further away is a mistake.
_LONGEST_ASKED_FOR: Final = timedelta(days=7)


class Dated(Protocol):
    """The dates of the live certificate: a `Certificate` or a `Schedule`."""

    @property
    def not_before(self) -> datetime: ...

    @property
    def not_after(self) -> datetime: ...


def after(  # noqa: PLR0913, PLR0917 - everything that the wait depends on, and nothing else
    earlier: Failure | None,
    error: WellkeeperError,
    lineage: str,
    dated: Dated | None,
    now: datetime,
    choose: Callable[[], float],
    turning_points: Sequence[datetime] = (),
) -> Failure:
    """Return the failure to record, one more in the series of `earlier`. `dated` is None when nothing is live yet.

    `choose` returns a number between 0 and 1. A turning point, where something changes for the certificate, shortens
    the wait, unless the CA asked for a longer one.
    """
    count = earlier.count + 1 if earlier and not _was_of_the_ca(earlier, error) else 1
    wait = _permanent(earlier) if error.retry is Retry.NEVER else _passing(count, error)
    if dated is not None:
        wait = min(wait, (dated.not_after - dated.not_before) / _LONGEST_SHARE)
    if dated is not None and is_emergency(dated, now):
        wait = min(wait, _permanent_emergency(dated) if error.retry is Retry.NEVER else _EMERGENCY_WAIT)
    if wait >= _JITTERED_FROM:
        wait *= 1 - _JITTER * choose()
    own_try_at = min([now + wait, *(at for at in turning_points if at > now)])
    return Failure(
        lineage=lineage,
        count=count,
        stage=error.stage,
        message=str(error),
        retry=error.retry,
        first_at=earlier.first_at if earlier else now,
        last_at=now,
        next_try_at=max(own_try_at, _asked_for(error, now)),
        problem=error.problem.name if error.problem else None,
    )


def _was_of_the_ca(earlier: Failure, error: WellkeeperError) -> bool:
    """Return whether the earlier failure was an unavailable CA, and this one is not: then a new series begins."""
    return earlier.stage == OrderError.stage and earlier.problem is None and error.stage != OrderError.stage


def is_over(failure: Failure, now: datetime) -> bool:
    """Return whether the wait is over. A clock that was set back since the failure ends the wait."""
    return now >= failure.next_try_at or now < failure.last_at


def is_emergency(dated: Dated, now: datetime) -> bool:
    """Return whether only the last part of the lifetime is left, or expiry was less than a week ago."""
    return latest_at(dated.not_before, dated.not_after) <= now < dated.not_after + _EMERGENCY_AFTER_EXPIRY


def _passing(count: int, error: WellkeeperError) -> timedelta:
    """Return the wait after a failure that may pass. A CA that names a time overrules the long first wait."""
    is_late = error.retry is Retry.LATER and error.retry_at is None
    step = max(count, _FIRST_LATER) if is_late else count
    wait = _WAITS[min(step, len(_WAITS)) - 1]
    if is_away(error):
        wait = min(wait, _AWAY_WAIT)
    return wait


def _permanent(earlier: Failure | None) -> timedelta:
    """Return 1, 2, 4 or 7 days: twice the last wait, rounded up to undo its jitter."""
    if earlier is None or earlier.retry is not Retry.NEVER:
        return _DAY
    days = math.ceil((earlier.next_try_at - earlier.last_at) / _DAY)
    return _DAY * min(2 * days, _RAREST_DAYS)


def _permanent_emergency(dated: Dated) -> timedelta:
    """Return a wait short enough for a few more tries before expiry, in case it is fixed on the last day."""
    return min(_DAY, (dated.not_after - dated.not_before) / _SHARE_OF_LAST_TRIES)


def _asked_for(error: WellkeeperError, now: datetime) -> datetime:
    return now if error.retry_at is None else min(error.retry_at, now + _LONGEST_ASKED_FOR)
