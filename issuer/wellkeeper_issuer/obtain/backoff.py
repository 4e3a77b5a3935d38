"""How long a failure keeps a certificate from being tried again: ever longer, and never for good.

1 min, 10 min, 100 min, 1 day; what the CA asked for goes first, what no retry mends waits for days, and a certificate
that is about to expire waits for an hour at most. All of it is computed from the dates of the certificate itself.
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
# Let's Encrypt's integration guide; a name that fails for good is asked for once a day, and Let's Encrypt pauses names
# after 1 152 failures in a row.
_WAITS: Final = (timedelta(minutes=1), timedelta(minutes=10), timedelta(minutes=100), _DAY)
_FIRST_LATER: Final = 3
# Without a person nothing will change: asked all the same, ever more rarely, since people mend things and tell nobody.
_RAREST_DAYS: Final = 7
# A part of the lifetime, so that a certificate of six days is tried as often in its life as one of ninety.
_LONGEST_SHARE: Final = 10
# Waits from here on are shortened by up to a fifth, so that what failed together is not tried together.
_JITTERED_FROM: Final = timedelta(minutes=10)
_JITTER: Final = 0.2

# A week more than the last part of the lifetime: a name that is dead for longer will not miss the hour.
_EMERGENCY_AFTER_EXPIRY: Final = timedelta(days=7)
_EMERGENCY_WAIT: Final = timedelta(hours=1)
_SHARE_OF_LAST_TRIES: Final = 100
# A CA that is away is asked once an hour for all (`blocks`): once it is back, none may wait for a day.
_AWAY_WAIT: Final = timedelta(hours=1)
# The longest window of a limit that a CA has published; a date further away is a mistake.
_LONGEST_ASKED_FOR: Final = timedelta(days=7)


class Dated(Protocol):
    """What is live, as far as its dates go: a `Certificate` or a `Schedule`."""

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
    """The failure to remember: one more of the series that `earlier` began. `dated` is None when nothing is live yet.

    `choose` gives a number between 0 and 1. At `turning_points`, where something changes for the certificate, it is
    tried whatever the wait, unless the CA asked for more.
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
    """What a CA was long away for says nothing about a name that it has just looked at for the first time."""
    return earlier.stage == OrderError.stage and earlier.problem is None and error.stage != OrderError.stage


def is_over(failure: Failure, now: datetime) -> bool:
    """Whether it may be tried again.

    A clock that was set back since the failure does not make the wait longer: it ends it.
    """
    return now >= failure.next_try_at or now < failure.last_at


def is_emergency(dated: Dated, now: datetime) -> bool:
    """Only the last part of the lifetime is left, or it has expired within a week."""
    return latest_at(dated.not_before, dated.not_after) <= now < dated.not_after + _EMERGENCY_AFTER_EXPIRY


def _passing(count: int, error: WellkeeperError) -> timedelta:
    """Whoever says when to come back knows better than a rule that begins with a long wait."""
    is_late = error.retry is Retry.LATER and error.retry_at is None
    step = max(count, _FIRST_LATER) if is_late else count
    wait = _WAITS[min(step, len(_WAITS)) - 1]
    if is_away(error):
        wait = min(wait, _AWAY_WAIT)
    return wait


def _permanent(earlier: Failure | None) -> timedelta:
    """1, 2, 4, 7 days; the last wait, whole again what jitter took of it, tells where the series is."""
    if earlier is None or earlier.retry is not Retry.NEVER:
        return _DAY
    days = math.ceil((earlier.next_try_at - earlier.last_at) / _DAY)
    return _DAY * min(2 * days, _RAREST_DAYS)


def _permanent_emergency(dated: Dated) -> timedelta:
    """A few tries while it still matters: whoever mends it on the last day does not know when we look."""
    return min(_DAY, (dated.not_after - dated.not_before) / _SHARE_OF_LAST_TRIES)


def _asked_for(error: WellkeeperError, now: datetime) -> datetime:
    return now if error.retry_at is None else min(error.retry_at, now + _LONGEST_ASKED_FOR)
