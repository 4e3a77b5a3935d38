"""Reads Retry-After (RFC 9110 section 10.2.3): seconds, or a date."""

import email.utils
from datetime import UTC, datetime


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """How long the peer wants to be left alone, 0 for a time that is over; None when it is missing or senseless."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit() and len(text) < 12:
        return float(text)
    try:
        at = email.utils.parsedate_to_datetime(text)
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
    except (ValueError, OverflowError):
        return None
    return max(seconds, 0.0)
