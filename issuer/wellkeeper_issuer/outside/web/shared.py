"""Make what pages show in a thread: once for all requests at the same time, and at most every few seconds."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from wellkeeper_node.ports import Clock

_T = TypeVar("_T")

FRESH_SECONDS: Final = 5.0
# A request waits so long for the next value. One that takes longer is kept current: ten thousand certificates take half
# a second.
_PATIENCE_SECONDS: Final = 0.15
# A value that is kept costs a hundredth of a core.
_PAUSE_PER_CPU_SECOND: Final = 100
SHORTEST_PAUSE_SECONDS: Final = 30.0
# The CPU time includes that of other threads, which may be busy.
LONGEST_PAUSE_SECONDS: Final = 120.0
_LATE_SECONDS: Final = 30.0


class Shared(Generic[_T]):
    """The value that `make` returns, which runs in a thread beside the event loop. `get` raises what it raises."""

    def __init__(self, make: Callable[[], _T], clock: Clock) -> None:
        self._make = make
        self._clock = clock
        self._last: tuple[_T, float] | None = None
        self._task: asyncio.Task[_T] | None = None

    async def get(self) -> _T:
        """Return a value that is at most a few seconds old."""
        last = self._younger_than(FRESH_SECONDS)
        return last[0] if last else await asyncio.shield(self._begin())

    def _younger_than(self, seconds: float) -> tuple[_T, float] | None:
        last = self._last
        return last if last is not None and self._clock.monotonic() - last[1] < seconds else None

    def _begin(self) -> asyncio.Task[_T]:
        """Return the task that makes the next value."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._remake())
            self._task.add_done_callback(_retrieve)
        return self._task

    async def _remake(self) -> _T:
        value = await asyncio.to_thread(self._make)
        self._last = value, self._clock.monotonic()
        return value


class Kept(Shared[_T]):
    """A value that no request waits for: if making it takes long, `keep` makes the next one in time.

    A request that finds it older than a few seconds begins the next one. It gets the last one if the next takes long,
    unless the last one should have been replaced long ago.
    """

    def __init__(
        self, make: Callable[[], _T], clock: Clock, cpu_seconds: Callable[[], float] = time.process_time
    ) -> None:
        super().__init__(make, clock)
        self._cpu_seconds = cpu_seconds
        self._pause = SHORTEST_PAUSE_SECONDS
        self._due_at = 0.0
        self._is_slow = asyncio.Event()

    async def get(self) -> _T:
        last = self._younger_than(self._pause + _LATE_SECONDS)
        if last is None or self._younger_than(FRESH_SECONDS):
            return await super().get()
        task = self._begin()
        done, _ = await asyncio.wait([task], timeout=0 if self._is_slow.is_set() else _PATIENCE_SECONDS)
        return task.result() if done else last[0]

    async def prepare(self, seconds: float) -> None:
        """Begin a value, and wait for it for at most this time."""
        await asyncio.wait([self._begin()], timeout=seconds)
        self._due_at = self._clock.monotonic()  # it may have taken long because it loaded code: the next one does not

    async def keep(self) -> None:
        """Work until cancelled. While values are made quickly, it sleeps."""
        while True:
            await self._is_slow.wait()
            seconds = self._due_at - self._clock.monotonic()
            if seconds > 0:
                await self._clock.sleep(seconds)
            else:
                await asyncio.wait([self._begin()])

    async def _remake(self) -> _T:
        began, used = self._clock.monotonic(), self._cpu_seconds()
        try:
            value = await super()._remake()
        except Exception:
            self._last = None  # requests report the failure
            self._plan(used, is_slow=True)
            raise
        self._plan(used, is_slow=self._clock.monotonic() - began > _PATIENCE_SECONDS)
        return value

    def _plan(self, used: float, *, is_slow: bool) -> None:
        wanted = _PAUSE_PER_CPU_SECOND * (self._cpu_seconds() - used)
        self._pause = min(max(wanted, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        self._due_at = self._clock.monotonic() + self._pause
        if is_slow:
            self._is_slow.set()
        else:
            self._is_slow.clear()


def _retrieve(task: "asyncio.Task[_T]") -> None:
    """Take the error of a value that no request waits for any more: the next request tries again."""
    if not task.cancelled():
        task.exception()
