"""An event loop with simulated time: when no task can run, time jumps to the next timer.

Work in executors is waited for in real time, during which simulated time stands still.
"""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class _Jump(selectors.DefaultSelector):
    """A selector that waits only for events outside of the simulation."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.outside_count = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        is_idle = timeout is None or timeout > 0
        events = super().select(None if is_idle and (self.outside_count or timeout is None) else 0)
        if not events and timeout is not None:
            self.now += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """`asyncio.Runner(loop_factory=VirtualLoop)`."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        # A float cannot distinguish asyncio's usual nanosecond after half a year.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._jump.now

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        future = super().run_in_executor(executor, func, *args)
        self._jump.outside_count += 1
        future.add_done_callback(self._came_back)
        return future

    async def shutdown_default_executor(self, *arguments: Any) -> None:  # noqa: ANN401 - a time-out, from Python 3.12 on
        """Wait for the threads in real time, so that no simulated time-out passes meanwhile."""
        self._jump.outside_count += 1
        try:
            await super().shutdown_default_executor(*arguments)
        finally:
            self._jump.outside_count -= 1

    def _came_back(self, _future: Any) -> None:  # noqa: ANN401 - of whatever
        self._jump.outside_count -= 1


class VirtualClock:
    """`wellkeeper_issuer.ports.Clock` of the running loop; it begins at `start`."""

    def __init__(self, start: datetime) -> None:
        self._start = start

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic())

    def step(self, seconds: float) -> None:
        """Set the wall clock forwards or (negative) backwards without letting time pass."""
        self._start += timedelta(seconds=seconds)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
