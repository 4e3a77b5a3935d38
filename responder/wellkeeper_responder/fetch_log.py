"""Log fetches, one line each up to a rate, and count the rest, so that a flood neither fills the disk nor costs time.

The feed and /metrics have all of them.
"""

import logging
from typing import Final

from wellkeeper_responder.clock import Clock
from wellkeeper_responder.fetches import Fetch, FetchFields

_log = logging.getLogger(__name__)

LINES_PER_SECOND: Final = 100


class FetchLog:
    """Hits and misses have separate rates, so that invented tokens cannot hide the CA's fetches."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._hits = _Second("hits")
        self._misses = _Second("misses")

    def write(self, status: int, fetch: FetchFields) -> None:
        """Write one line, or count the fetch if the second has no more room."""
        second = self._hits if status == 200 else self._misses
        if second.has_room(self._clock.monotonic()):
            _log.info("fetch", extra={"fields": Fetch._make(fetch).to_json()})

    def close(self) -> None:
        """Log the numbers of fetches omitted since the last summary."""
        self._hits.sum_up()
        self._misses.sum_up()


class _Second:
    """The lines of one second. The number of omitted ones is logged in the next second with a fetch, or at the end."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._ends_at = 0.0
        self._reported = 0
        self._omitted = 0

    def has_room(self, now: float) -> bool:
        if now >= self._ends_at:
            self.sum_up()
            self._ends_at, self._reported = now + 1, 0
        if self._reported < LINES_PER_SECOND:
            self._reported += 1
            return True
        self._omitted += 1
        return False

    def sum_up(self) -> None:
        if self._omitted:
            fields = {"kind": self._kind, "count": self._omitted, "lines_per_second": LINES_PER_SECOND}
            _log.warning("fetches omitted from the log", extra={"fields": fields})
            self._omitted = 0
