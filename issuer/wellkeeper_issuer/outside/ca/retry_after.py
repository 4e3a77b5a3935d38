"""Read Retry-After (RFC 9110 section 10.2.3): seconds, or a date."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from wellkeeper_issuer.outside.ca.dates import http_date

# Wait for one day at most, whatever the CA asks for: some certificates are valid for six days.
_LONGEST_SECONDS: Final = 86_400.0


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds to wait, from 0 to one day; None when the header is missing or not valid.

    A date is relative to the peer's `Date` header if there is one, because our clock may be wrong.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdecimal():
        return min(float(text), _LONGEST_SECONDS)
    at = http_date(text)
    if at is None:
        return None
    seconds = (at - (http_date(headers.get("Date", "")) or now)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_SECONDS)
