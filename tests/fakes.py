"""Fakes that several suites share: plain classes that fulfil the contracts of the real ones."""

import asyncio
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from wellkeeper_node.happened import Happened


class FakeClock:
    """A clock (`Clock` of issuer and responder) that advances only when a test advances it or code sleeps.

    `sleep` advances it at once, after the other tasks had their turn; `slept` lists the durations.
    Wall clock and monotonic clock advance together, except for `step`: an administrator sets the time.
    """

    def __init__(self, now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic = 1000.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._now

    def timestamp(self) -> float:
        return self.now().timestamp()

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._monotonic += seconds
        self._now += timedelta(seconds=seconds)

    def step(self, seconds: float) -> None:
        """Set the wall clock forwards or (negative) backwards without letting time pass."""
        self._now += timedelta(seconds=seconds)


async def run_tasks_until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until the condition holds; the test's time-out is the limit."""
    for _ in itertools.repeat(None):
        if condition():
            return
        await asyncio.sleep(0)


class FakeHistory:
    """`happened.History` in memory."""

    def __init__(self) -> None:
        self.happened: list[Happened] = []

    def add(self, *happened: Happened) -> None:
        self.happened += happened
