"""Wording that many messages share."""

from datetime import datetime


def format_time(at: datetime) -> str:
    """To the minute, for what lies hours or days away; `at` is UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def format_exact_time(at: datetime) -> str:
    """To the second, for what may be waited for; `at` is UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def counted(count: int, one: str, several: str = "") -> str:
    """`1 token`, `2 tokens`; `several` where the plural has more than an s."""
    return f"{count} {one if count == 1 else several or one + 's'}"


def times_in_a_row(count: int) -> str:
    """`once`, `2 times in a row`."""
    return "once" if count == 1 else f"{count} times in a row"
