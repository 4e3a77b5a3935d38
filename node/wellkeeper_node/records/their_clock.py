"""Compare the clock here with that of a server, by the `Date` of its replies (RFC 9110 section 5.6.7)."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from wellkeeper_node.ports import Clock

_DATE: Final = "%a, %d %b %Y %H:%M:%S GMT"


class TheirClock:
    """`ahead_seconds` is how far the clock here is ahead of theirs, as of the last reply; None before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_date = ""
        self.ahead_seconds: float | None = None

    def compare(self, date: str) -> None:
        """Take the `Date` of a reply; ignore what is not a date."""
        if date == self._last_date:  # it has seconds, and is slow to read
            return
        self._last_date = date
        with suppress(ValueError):
            theirs = datetime.strptime(date, _DATE).replace(tzinfo=UTC)
            self.ahead_seconds = (self._clock.now() - theirs).total_seconds()
