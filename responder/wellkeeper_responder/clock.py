"""The clocks of a responder: the wall clock for messages, the monotonic clock for lifetimes."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the wall clock's time, aware, in UTC."""
        ...

    def timestamp(self) -> float:
        """Return the UNIX time of the wall clock."""
        ...

    def monotonic(self) -> float:
        """Return seconds that do not jump when the wall clock is set."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    # Asked for in each request: without a frame of our own between.
    timestamp = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
