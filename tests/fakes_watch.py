"""Fake watches of the CA's fetches."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tests.fakes import FakeClock
from wellkeeper_node.model import Answer, ExpectedFetches


class FakeWatch:
    """`ports.Watch`: `fetches` has the seconds until the last fetch of each call; afterwards none come.

    `at_once` fetches come in each of these calls.
    """

    def __init__(self, clock: FakeClock, fetches: Sequence[float], at_once: int = 1) -> None:
        self._clock = clock
        self._fetches = list(fetches)
        self._at_once = at_once
        self.count = 0
        self.settles: list[tuple[float, float]] = []

    @property
    def clients(self) -> Sequence[str]:
        """One address for each fetch."""
        return tuple(f"192.0.2.{number + 1}" for number in range(self.count))

    async def settle(
        self, quiet_seconds: float, timeout_seconds: float, expected: ExpectedFetches | None = None
    ) -> bool:
        self.settles.append((quiet_seconds, timeout_seconds))
        await asyncio.sleep(0)  # a cancellation arrives here
        if self._fetches and self._fetches[0] <= timeout_seconds:
            self.count += self._at_once
            if expected and self.count >= expected.count:
                quiet_seconds = expected.quiet_seconds
            self._clock.advance(self._fetches.pop(0) + quiet_seconds)
            return True
        self._clock.advance(timeout_seconds)
        self._fetches[:1] = [seconds - timeout_seconds for seconds in self._fetches[:1]]
        return False


class FakeWatches:
    """The part of `ports.Responders` that validation needs; `watched` has the watches by token.

    Tokens in `ignored` are never fetched.
    """

    def __init__(self, clock: FakeClock, fetches: Sequence[float] = (0.5,), at_once: int = 1) -> None:
        self._clock = clock
        self._fetches = fetches
        self.at_once = at_once
        self.ignored: set[str] = set()
        self.watched: dict[str, FakeWatch] = {}

    def publish(self, answers: Sequence[Answer], lineage: str = "") -> AbstractAsyncContextManager[None]:
        raise ValueError(f"validation must not publish: {answers} for {lineage}")

    async def withdraw_left(self, lineage: str = "") -> None:
        raise ValueError(f"validation must not withdraw what is left for {lineage}")

    async def publish_again(self, answers: Sequence[Answer]) -> bool:
        raise ValueError(f"validation must not publish: {answers}")

    @asynccontextmanager
    async def watch(self, token: str) -> AsyncIterator[FakeWatch]:
        watch = self.watched[token] = FakeWatch(
            self._clock, () if token in self.ignored else self._fetches, self.at_once
        )
        yield watch
