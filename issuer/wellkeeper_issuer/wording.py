"""Wording that many messages share."""

from datetime import datetime


def format_time(at: datetime) -> str:
    """To the minute, for what lies hours or days away; `at` is UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def format_exact_time(at: datetime) -> str:
    """To the second, for what may be waited for; `at` is UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
