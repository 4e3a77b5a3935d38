"""Time, as the responder is handed it: the wall clock for messages, the monotonic clock for lifetimes."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall clock, aware, UTC."""
        ...

    def timestamp(self) -> float:
        """Return the UNIX time of the wall clock."""
        ...

    def monotonic(self) -> float:
        """Seconds; goes on evenly, whatever somebody sets the wall clock to."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    # Asked for in each request: without a frame of our own between.
    timestamp = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
