"""Limit how often renewal info brings renewals forward: at once for one version, later and later for those after it.

A CA that suggests for every certificate that it be renewed now, by mistake, would otherwise issue one in every pass.
A CA that replaces its certificates twice in a row still gets the second renewal within a day.
"""

from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.obtain.due import renew_at
from wellkeeper_issuer.records import Rule, Schedule

_DAY: Final = timedelta(days=1)
# So that the pause fits a six-day certificate, too.
_FIRST_SHARE: Final = 10
# Less than half of the time until the lifetime rule, or the longest pause would end the series.
_LONGEST_SHARE: Final = 5


def held_until(earlier: Schedule | None, lifetime: timedelta, now: datetime) -> datetime | None:
    """Return the earliest time at which renewal info may renew the version that now replaces that of `earlier`.

    None, for no limit, unless the earlier one was brought forward. Each pause is at least twice the one before: one
    day, two days, four days, up to a fifth of the lifetime.
    """
    if earlier is None or not is_brought_forward(earlier, now):
        return None
    pause = min(lifetime / _FIRST_SHARE, _DAY)
    if earlier.held_until is not None:
        pause = max(pause, 2 * (earlier.held_until - earlier.not_before))
    return now + min(pause, lifetime / _LONGEST_SHARE)


def is_brought_forward(schedule: Schedule, now: datetime) -> bool:
    """Return whether a renewal now follows renewal info, in the first half of the time until the lifetime rule."""
    until_rule = renew_at(schedule.not_before, schedule.not_after) - schedule.not_before
    return schedule.rule is Rule.ARI and schedule.renew_at <= now < schedule.not_before + until_rule / 2
