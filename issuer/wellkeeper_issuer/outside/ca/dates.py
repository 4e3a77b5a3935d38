"""Read the dates of HTTP headers (RFC 9110 section 5.6.7)."""

import email.utils
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta


def http_date(text: str) -> datetime | None:
    """Return the time, None when the text is not a date."""
    try:
        at = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def ahead_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return how far the peer's clock is ahead; None without a date. A cache adds the `Age` of its copy."""
    at, age = http_date(headers.get("Date", "")), headers.get("Age", "").strip()
    if at is None:
        return None
    stored_seconds = float(age) if age.isascii() and age.isdecimal() and len(age) < 10 else 0.0
    return (at - now + timedelta(seconds=stored_seconds)).total_seconds()
