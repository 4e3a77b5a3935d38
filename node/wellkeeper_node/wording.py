"""Wording that many messages share."""

from datetime import datetime
from typing import Final

_RELOAD: Final = ", then run 'wellkeeper reload' if a daemon runs"


def format_time(at: datetime) -> str:
    """Format a UTC time to the minute, for times hours or days away."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def format_exact_time(at: datetime) -> str:
    """Format a UTC time to the second, for times that a person may wait for."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def counted(count: int, one: str, several: str = "") -> str:
    """Return `1 token` or `2 tokens`; `several` is an irregular plural."""
    return f"{count} {one if count == 1 else several or one + 's'}"


def times_in_a_row(count: int) -> str:
    """Return `once` or `2 times in a row`."""
    return "once" if count == 1 else f"{count} times in a row"


def with_reload(remedy: str) -> str:
    """Return a remedy that changes the settings, with the reload that makes a daemon read them; repeatable."""
    return f"{remedy.replace(_RELOAD, '').removesuffix('.')}{_RELOAD}."
