"""Fake watches of the CA's fetches."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from tests.fakes import FakeClock
from wellkeeper_node.model import Answer


class FakeWatch:
    """`ports.Watch`: `fetches` has the seconds until the last fetch of each call; afterwards none come."""

    def __init__(self, clock: FakeClock, fetches: Sequence[float]) -> None:
        self._clock = clock
        self._fetches = list(fetches)
        self.settles: list[tuple[float, float]] = []

    async def settle(self, quiet_seconds: float, timeout_seconds: float) -> bool:
        self.settles.append((quiet_seconds, timeout_seconds))
        await asyncio.sleep(0)  # a cancellation arrives here
        if self._fetches and self._fetches[0] <= timeout_seconds:
            self._clock.advance(self._fetches.pop(0) + quiet_seconds)
            return True
        self._clock.advance(timeout_seconds)
        self._fetches[:1] = [seconds - timeout_seconds for seconds in self._fetches[:1]]
        return False


class FakeWatches:
    """The part of `ports.Responders` that validation needs; `watched` has the watches by token.

    Tokens in `ignored` are never fetched.
    """

    def __init__(self, clock: FakeClock, fetches: Sequence[float] = (0.5,)) -> None:
        self._clock = clock
        self._fetches = fetches
        self.ignored: set[str] = set()
        self.watched: dict[str, FakeWatch] = {}

    def publish(self, answers: Sequence[Answer]) -> AbstractAsyncContextManager[None]:
        raise ValueError(f"validation must not publish: {answers}")

    async def publish_again(self, answers: Sequence[Answer]) -> bool:
        raise ValueError(f"no one publishes while validating: {answers}")

    @asynccontextmanager
    async def watch(self, token: str) -> AsyncIterator[FakeWatch]:
        watch = self.watched[token] = FakeWatch(self._clock, () if token in self.ignored else self._fetches)
        yield watch
