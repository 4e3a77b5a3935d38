"""Make what pages show in a thread: once for all requests at the same time, and at most every few seconds."""

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from wellkeeper_node.ports import Clock

_T = TypeVar("_T")

# Ten thousand certificates take about a second.
FRESH_SECONDS: Final = 5.0
# With few certificates, a new value is made within this time.
_PATIENCE_SECONDS: Final = 0.05


class Shared(Generic[_T]):
    """The value that `make` returns, which runs in a thread beside the event loop. `get` raises what it raises.

    While a new value is made, requests get the last one if it is younger than `usable_seconds`.
    """

    def __init__(self, make: Callable[[], _T], clock: Clock, usable_seconds: float = FRESH_SECONDS) -> None:
        self._make = make
        self._clock = clock
        self._usable_seconds = usable_seconds
        self._last: tuple[_T, float] | None = None
        self._task: asyncio.Task[_T] | None = None

    async def get(self) -> _T:
        """Return a value that is at most a few seconds old, or a usable one."""
        if self._last is not None and self._age(self._last[1]) < FRESH_SECONDS:
            return self._last[0]
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._remake())
            self._task.add_done_callback(_retrieve)
        if self._last is not None and self._age(self._last[1]) < self._usable_seconds:
            done, _ = await asyncio.wait([self._task], timeout=_PATIENCE_SECONDS)
            if not done:
                return self._last[0]
        return await asyncio.shield(self._task)

    async def _remake(self) -> _T:
        value = await asyncio.to_thread(self._make)
        self._last = value, self._clock.monotonic()
        return value

    def _age(self, made_at: float) -> float:
        return self._clock.monotonic() - made_at


def _retrieve(task: "asyncio.Task[_T]") -> None:
    """Take the error of a value that no request waits for any more: the next request tries again."""
    if not task.cancelled():
        task.exception()
