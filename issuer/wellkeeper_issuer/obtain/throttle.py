"""Space out new orders, so many per second at most: CAs count requests as well as orders."""

import asyncio

from wellkeeper_node.ports import Clock


class Throttle:
    """Shared by all renewals of a process. Slots are given in the order of the requests."""

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._pause_seconds = 1 / per_second
        self._clock = clock
        self._lock = asyncio.Lock()
        self._free_at = clock.monotonic()

    async def slot(self) -> None:
        """Return when the next order may be sent."""
        async with self._lock:
            wait_seconds = self._free_at - self._clock.monotonic()
            if wait_seconds > 0:
                await self._clock.sleep(wait_seconds)
            self._free_at = max(self._free_at, self._clock.monotonic()) + self._pause_seconds
