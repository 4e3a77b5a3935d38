"""Reads Retry-After (RFC 9110 section 10.2.3): seconds, or a date."""

import email.utils
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

# A CA that asks for more patience than a day is asked again all the same: certificates live for six.
_LONGEST_SECONDS: Final = 86_400.0


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long the peer wants to be left alone, within 0 to a day; None when that is missing or senseless.

    A date is the peer's time, and is counted from its `Date` if it sent one: our clock may be set wrong.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text), _LONGEST_SECONDS)
    at = _http_date(text)
    if at is None:
        return None
    seconds = (at - (_http_date(headers.get("Date", "")) or now)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_SECONDS)


def _http_date(text: str) -> datetime | None:
    try:
        at = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
