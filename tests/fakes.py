"""Fakes that several suites share: plain classes that keep the contracts of what they stand for."""

import asyncio
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class FakeClock:
    """A clock (`Clock` of issuer and responder) that stands still until it is told to go on.

    `sleep` goes on by itself, after the other tasks had their turn; `slept` says for how long each time.
    Wall clock and monotonic clock go together, but for `step`, which is an administrator who sets the time.
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
        """Time passes."""
        self._monotonic += seconds
        self._now += timedelta(seconds=seconds)

    def step(self, seconds: float) -> None:
        """The wall clock is set, forwards or (negative) backwards; no time passes."""
        self._now += timedelta(seconds=seconds)


async def turns_until(is_so: Callable[[], bool]) -> None:
    """Gives the other tasks turns until it is so; the test's time-out is the limit."""
    for _ in itertools.repeat(None):
        if is_so():
            return
        await asyncio.sleep(0)
