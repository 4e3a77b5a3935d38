"""The open watches, each waiting for the fetches of one token."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from wellkeeper_node.model import ExpectedFetches

# A CA fetches from a handful of places; any client may fetch as well.
_MOST_CLIENTS: Final = 8


class FetchWatch:
    """Implements `ports.Watch`."""

    def __init__(self) -> None:
        self._fetched = asyncio.Event()
        self._clients: dict[str, None] = {}
        self.count = 0

    @property
    def clients(self) -> Sequence[str]:
        return tuple(self._clients)

    def notify(self, client_address: str | None = None) -> None:
        if client_address is not None:
            self.count += 1
            if len(self._clients) < _MOST_CLIENTS:
                self._clients[client_address] = None
        self._fetched.set()

    async def settle(
        self, quiet_seconds: float, timeout_seconds: float, expected: ExpectedFetches | None = None
    ) -> bool:
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        was_fetched = is_fetched = await self._fetch_before(timeout_seconds)
        # Endless fetches must not delay the poll of the CA.
        while is_fetched and asyncio.get_running_loop().time() < deadline:
            if expected and self.count >= expected.count:
                quiet_seconds = expected.quiet_seconds
            is_fetched = await self._fetch_before(quiet_seconds)
        return was_fetched

    async def _fetch_before(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._fetched.wait()
        except TimeoutError:
            return False
        self._fetched.clear()
        return True


class Watches:
    """The open watches by token."""

    def __init__(self) -> None:
        self._by_token: defaultdict[str, set[FetchWatch]] = defaultdict(set)

    @contextmanager
    def open(self, token: str) -> Iterator[FetchWatch]:
        watch = FetchWatch()
        self._by_token[token].add(watch)
        try:
            yield watch
        finally:
            self._by_token[token].discard(watch)
            if not self._by_token[token]:
                del self._by_token[token]

    def notify(self, token: str, client_address: str | None = None) -> bool:
        """Return whether the token is watched."""
        watches = self._by_token.get(token, ())
        for watch in watches:
            watch.notify(client_address)
        return bool(watches)

    def notify_all(self) -> None:
        """Notify every watch, because fetches were lost: all must poll the CA."""
        for watches in self._by_token.values():
            for watch in watches:
                watch.notify()
