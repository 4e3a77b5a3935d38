"""Log what others sent or did: each complaint once per hour, news whenever they come, and not too many of both."""

import logging
from typing import Final

from wellkeeper_node.ports import Clock

_PERIOD_SECONDS: Final = 3600.0
MOST: Final = 100


class Complaints:
    """Lines for one log."""

    def __init__(self, log: logging.Logger, clock: Clock, level: int = logging.WARNING) -> None:
        self._log = log
        self._clock = clock
        self._level = level
        self._said: set[str] = set()
        self._lines = 0
        self._since = clock.monotonic()

    def say(self, text: str) -> None:
        """Log the text, unless it or too many others were logged within the hour."""
        self._begin_period()
        if text not in self._said and self._lines < MOST:
            self._said.add(text)
            self._write(self._level, text, None)

    def tell(self, level: int, text: str, fault: Exception | None = None) -> None:
        """Log the text even if it was logged before, unless too many were within the hour; of a fault the traceback."""
        self._begin_period()
        if self._lines < MOST:
            self._write(level, text, fault)

    def _begin_period(self) -> None:
        now = self._clock.monotonic()
        if now - self._since >= _PERIOD_SECONDS:
            self._said.clear()
            self._since, self._lines = now, 0

    def _write(self, level: int, text: str, fault: Exception | None) -> None:
        self._lines += 1
        self._log.log(level, "%s", text, exc_info=fault)
