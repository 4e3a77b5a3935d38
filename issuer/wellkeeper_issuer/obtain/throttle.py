"""New orders leave one after another, no more than so many a second: CAs count requests as well as orders."""

import asyncio

from wellkeeper_node.ports import Clock


class Throttle:
    """Shared by all renewals of a process. Turns come in the order in which they were asked for."""

    def __init__(self, per_second: float, clock: Clock) -> None:
        self._pause_seconds = 1 / per_second
        self._clock = clock
        self._lock = asyncio.Lock()
        self._free_at = clock.monotonic()

    async def slot(self) -> None:
        """Returns when the next one may leave."""
        async with self._lock:
            wait_seconds = self._free_at - self._clock.monotonic()
            if wait_seconds > 0:
                await self._clock.sleep(wait_seconds)
            self._free_at = max(self._free_at, self._clock.monotonic()) + self._pause_seconds
