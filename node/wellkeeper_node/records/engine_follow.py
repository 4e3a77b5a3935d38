"""Follow the records in an engine: a snapshot by directories, then what is published about changes.

A message only names a key, whose record is read then. With each look at records, and after each second without a
message, the follower asks whether the engine is still the same: its epoch is a random id that the first write sets.
Others may write a million names into a directory; as many are read as no fleet has.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Final

from redis.exceptions import ResponseError

from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, kind_of
from wellkeeper_node.ports import Clock
from wellkeeper_node.records import engine_keys
from wellkeeper_node.records.engine_calls import EngineCalls
from wellkeeper_node.records.engine_connection import Command, EngineConnection, Reply
from wellkeeper_node.records.engine_strangers import Strangers
from wellkeeper_node.records.engine_values import LONGEST_LINE, is_over, unpack
from wellkeeper_node.records.port import Update

_TICK_SECONDS: Final = 1.0
_PART_BYTES: Final = 1024 * 1024
_MOST_KEYS: Final = 128
# Most records are shorter; the others are read again, whole.
_FIRST_BYTES: Final = 8 * 1024
# A directory of so many has 100,000 names at least, as an engine shrinks tables that are less than 10 % full.
_MOST_PAGES: Final = 10_000
# A manifest lists three thousand lineages, and a relay takes a thousand nodes.
_MOST_NAMES: Final = 20_000
_LONGEST_EPOCH: Final = 64

Part = tuple[tuple[Stored, ...], tuple[str, ...]]


class EngineFollower:
    """Follows some kinds; with `node`, only what is visible to that node."""

    def __init__(
        self, calls: EngineCalls, clock: Clock, kinds: Sequence[Kind], node: str, strangers: Strangers
    ) -> None:
        self._calls = calls
        self._clock = clock
        self._kinds = kinds
        self._node = node
        self._strangers = strangers
        self._epoch = b""
        self._is_replaced = False

    async def follow(self) -> AsyncGenerator[Update, None]:
        """Yield as `Records.follow` says."""
        async with self._calls.apart() as news:
            channels = [self._calls.key(engine_keys.channel(kind, self._node)) for kind in self._kinds]
            await news.subscribe(channels)
            while True:
                (epoch,) = await self._calls.ask(self._ask_epoch)
                self._epoch = _checked(epoch)
                self._is_replaced = False
                async for update in _updates(self._snapshot(), is_snapshot=True):
                    yield update
                while not self._is_replaced:
                    async for update in _updates(self._changes(await self._changed(news)), is_snapshot=False):
                        yield update

    @property
    def _ask_epoch(self) -> Command:
        return "GETRANGE", self._calls.key(engine_keys.EPOCH), 0, _LONGEST_EPOCH

    async def _changed(self, news: EngineConnection) -> list[str]:
        """Return the keys of what was published; none after a second of silence in which the engine answers."""
        messages = [await news.listen(_TICK_SECONDS) or await news.sign_of_life(_TICK_SECONDS)]
        news.reset()
        while len(messages) < _MOST_KEYS and (message := await news.listen(0)) is not None:
            messages.append(message)
        return list(dict.fromkeys(key for one in messages for key in _keys(one) if self._is_wanted(key)))

    def _is_wanted(self, key: str) -> bool:
        try:
            return kind_of(key) in self._kinds and engine_keys.is_visible(key, self._node)
        except MessageError:
            return False

    async def _snapshot(self) -> AsyncGenerator[Part, None]:
        for kind in self._kinds:
            async for keys in self._all_keys(kind):
                for start in range(0, len(keys), _MOST_KEYS):
                    async for found in self._read(keys[start : start + _MOST_KEYS]):
                        yield tuple(filter(None, found.values())), ()

    async def _changes(self, keys: Sequence[str]) -> AsyncGenerator[Part, None]:
        """Yield nothing more once the engine is another one."""
        async for found in self._read(keys):
            if not self._is_replaced:
                yield tuple(filter(None, found.values())), tuple(key for key, one in found.items() if one is None)

    async def _read(self, keys: Sequence[str]) -> AsyncGenerator[dict[str, Stored | None], None]:
        """Yield what is under at most _MOST_KEYS keys, about a megabyte at once; None for what is not a record."""
        epoch, *first = await self._calls.ask(self._ask_epoch, *(self._look(key, _FIRST_BYTES) for key in keys))
        former, self._epoch = self._epoch, _checked(epoch)
        self._is_replaced |= bool(former) and former != self._epoch
        replies = dict(zip(keys, first, strict=True))
        for some in _batches(list(replies)):
            cut = [key for key in some if isinstance(replies[key], bytes) and len(replies[key]) >= _FIRST_BYTES]
            if cut:
                whole = (self._look(key, LONGEST_LINE + kind_of(key).longest) for key in cut)
                replies |= zip(cut, await self._calls.ask(*whole), strict=True)
            yield {key: self._record(key, replies.pop(key)) for key in some}

    def _look(self, key: str, count: int) -> Command:
        return "GETRANGE", self._calls.key(key), 0, count - 1

    def _record(self, key: str, reply: Reply) -> Stored | None:
        found = unpack(key, reply, kind_of(key).longest)
        if found is None and reply:
            self._strangers.ignore(key, "it is not a record, or its form is unknown")
        return None if found is None or is_over(found, self._clock.now().timestamp()) else found

    async def _all_keys(self, kind: Kind) -> AsyncIterator[list[str]]:
        """Yield the keys of this kind in pieces; they may repeat."""
        if self._node and kind in engine_keys.ONE_OF_A_NODE:
            yield [f"{kind}/{self._node}"]
        elif kind is Kind.WRAP and not self._node:
            async for owners in self._names(f"{kind}/"):
                for owner in owners:
                    async for names in self._names(f"{kind}/{owner}/"):
                        yield self._valid(f"{kind}/{owner}/", names)
        else:
            async for names in self._names(engine_keys.directory(kind, self._node)):
                yield self._valid(f"{kind}/{self._node}/" if kind is Kind.WRAP else f"{kind}/", names)

    def _valid(self, prefix: str, names: Sequence[str]) -> list[str]:
        found = [key for key in (prefix + name for name in names) if self._is_wanted(key)]
        if len(found) < len(names):
            self._strangers.ignore(prefix, "it contains a name that is not a record's")
        return found

    async def _names(self, directory: str) -> AsyncIterator[list[str]]:
        cursor, count = b"0", 0
        for _ in range(_MOST_PAGES):
            (reply,) = await self._calls.ask(("SSCAN", self._calls.key(directory), cursor, "COUNT", _MOST_KEYS))
            cursor, names = _scanned(reply)
            yield [name.decode("ascii", "replace") for name in names]
            count += len(names)
            if count > _MOST_NAMES:
                self._strangers.ignore(directory, f"more than {_MOST_NAMES} names")
                return
            if cursor == b"0":
                return
        raise ValueError("a directory has no end")


async def _updates(parts: AsyncGenerator[Part, None], *, is_snapshot: bool) -> AsyncGenerator[Update, None]:
    """Yield an update for each part that is not empty; the last one is known to be, and a snapshot has at least one."""
    last: Part | None = ((), ()) if is_snapshot else None
    async with aclosing(parts):
        async for records, removed in parts:
            if not records and not removed:
                continue
            if last is not None and any(last):
                yield Update(*last, is_snapshot=is_snapshot, is_whole=False)
            last = records, removed
    if last is not None:
        yield Update(*last, is_snapshot=is_snapshot, is_whole=True)


def _batches(keys: Sequence[str]) -> Iterator[list[str]]:
    """Divide the keys, so that their records have about a megabyte at most."""
    some: list[str] = []
    size = 0
    for key in keys:
        if some and size + kind_of(key).longest > _PART_BYTES:
            yield some
            some, size = [], 0
        some.append(key)
        size += kind_of(key).longest
    if some:
        yield some


def _keys(message: Reply) -> list[str]:
    """Return the key that a message names, none of another one."""
    match message:
        case [b"message", bytes(), bytes(key)]:
            return [key.decode("ascii", "replace")]
        case _:
            return []


def _checked(epoch: Reply) -> bytes:
    """Return the epoch. Each refusal would differ from the last one, and begin a snapshot at once."""
    match epoch:
        case bytes():
            return epoch
        case ResponseError():
            raise epoch
        case _:
            raise ValueError(f"unexpected reply {epoch!r:.60}")


def _scanned(reply: Reply) -> tuple[bytes, list[bytes]]:
    match reply:
        case [bytes(cursor), list(names)] if all(isinstance(name, bytes) for name in names):
            return cursor, names
        case ResponseError():
            raise reply
        case _:
            raise ValueError(f"unexpected reply {reply!r:.60}")
