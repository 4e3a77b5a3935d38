"""Make a page's text in a thread: once for all requests at the same time, and at most every few seconds."""

import asyncio
import math
from collections.abc import Callable
from typing import Final

from wellkeeper_node.ports import Clock

# Ten thousand certificates take about a second.
FRESH_SECONDS: Final = 5.0


class SharedText:
    """The text that `make` returns, which runs in a thread beside the event loop. `get` raises what it raises."""

    def __init__(self, make: Callable[[], str], clock: Clock) -> None:
        self._make = make
        self._clock = clock
        self._lock = asyncio.Lock()
        self._text = ""
        self._until = -math.inf

    async def get(self) -> str:
        """Return a text that is at most a few seconds old."""
        async with self._lock:
            if self._clock.monotonic() >= self._until:
                self._text = await asyncio.to_thread(self._make)
                self._until = self._clock.monotonic() + FRESH_SECONDS
            return self._text
