"""Describe the distance to a time in words."""

from datetime import datetime
from typing import Final

from wellkeeper_node.wording import counted

_UNITS: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60))


def distance(at: datetime, now: datetime) -> str:
    """Return `in 58 days`, `3 hours ago` or `now`."""
    text = duration(at, now)
    if not text:
        return "now"
    return f"in {text}" if at > now else f"{text} ago"


def time_left(at: datetime, now: datetime) -> str:
    """Return `58 days`, `3 hours ago` or `now`, for a column whose title says the rest."""
    return distance(at, now).removeprefix("in ")


def duration(at: datetime, now: datetime) -> str:
    """Return the time between both in its largest unit: `58 days`; "" for less than a minute."""
    seconds = abs((at - now).total_seconds())
    for unit, size in _UNITS:
        if seconds >= size:
            return counted(int(seconds // size), unit)
    return ""
