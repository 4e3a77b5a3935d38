"""Feed the relay and an engine with the same records. Nodes get what one of them has."""

import asyncio
from collections.abc import Collection, Iterable
from typing import Final

from wellkeeper_client import records
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, Record
from wellkeeper_issuer.fleet.feed import Feed
from wellkeeper_node.errors import RecordRefusedError

# Nodes join through the relay, which limits who may ask.
ENGINE_KINDS: Final = tuple(kind for kind in Kind if kind not in {Kind.INVITE, Kind.JOIN, Kind.ANSWER})


class Feeds:
    """Implements `ports.Feeding` with two feeds."""

    def __init__(self, relay: Feed, engine: Feed) -> None:
        self._relay, self._engine = relay, engine
        self._both = (relay, engine)
        engine.name = "engine"

    async def put(self, *some: Record) -> None:
        of_engine = [one for one in some if one.kind in ENGINE_KINDS]
        await asyncio.gather(self._relay.put(*some), self._engine.put(*of_engine))

    async def put_signed(self, *some: Stored) -> None:
        of_engine = [one for one in some if records.kind_of(one.key) in ENGINE_KINDS]
        await asyncio.gather(self._relay.put_signed(*some), self._engine.put_signed(*of_engine))

    async def delete(self, keys: Iterable[str]) -> None:
        gone = list(keys)
        await asyncio.gather(*(one.delete(gone) for one in self._both))

    async def keep_only(self, keys: Collection[str], *kinds: Kind) -> None:
        await asyncio.gather(*(one.keep_only(keys, *kinds) for one in self._both))

    async def try_refused(self) -> None:
        await asyncio.gather(*(one.try_refused() for one in self._both))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for one in self._both:
                group.create_task(one.run())

    async def wait(self, *, seconds: float) -> None:
        await asyncio.gather(*(one.wait(seconds=seconds) for one in self._both))

    async def wait_until_filled(self, *, seconds: float) -> bool:
        """Wait until both have everything, but not for one that is away while the other has it."""
        return any(await asyncio.gather(*(self._wait_for(one, seconds) for one in self._both)))

    async def _wait_for(self, feed: Feed, seconds: float) -> bool:
        if feed.failure and any(one.filled.is_set() for one in self._both):
            return False
        return await feed.wait_until_filled(seconds=seconds)

    def has(self, key: str) -> bool:
        return self._relay.has(key)

    def is_there(self, key: str) -> bool:
        return any(one.is_there(key) for one in self._both)

    def refusal(self, key: str) -> RecordRefusedError | None:
        """Return why one refused the record, if the other one refused it, too, or is away."""
        found = [one.refusal(key) for one in self._both]
        is_nowhere = all(why or one.failure for why, one in zip(found, self._both, strict=True))
        return next(filter(None, found), None) if is_nowhere else None

    @property
    def failure(self) -> str:
        """The reason why neither answers."""
        return self._relay.failure if self._engine.failure else ""

    @property
    def heard(self) -> asyncio.Event:
        """The event of the one that answers."""
        return self._engine.heard if self._relay.failure else self._relay.heard

    @property
    def outages(self) -> int:
        return sum(one.outages for one in self._both)
