"""Records in an engine that people already run: Valkey, or Redis 7. docs/design/0032-engine.md says how.

The engine is not trusted: what it sends is bounded and only looks like records until the reader has checked them.
"""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from redis.exceptions import ResponseError

from wellkeeper_client.foreign_text import one_line
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, kind_of
from wellkeeper_node.errors import ConflictError, LeaseLostError
from wellkeeper_node.ports import Clock
from wellkeeper_node.records import engine_errors, engine_keys, engine_scripts
from wellkeeper_node.records.engine import EngineAddress
from wellkeeper_node.records.engine_calls import EngineCalls
from wellkeeper_node.records.engine_connection import Access, Reply
from wellkeeper_node.records.engine_follow import EngineFollower
from wellkeeper_node.records.engine_scripts import Script
from wellkeeper_node.records.engine_strangers import Strangers
from wellkeeper_node.records.engine_values import LONGEST_LINE, is_over, pack, unpack, version_in
from wellkeeper_node.records.port import Update

_CALL_SECONDS: Final = 0.25
# TLS across an ocean; an engine that answers slower than in 250 ms later is refused.
_CONNECT_SECONDS: Final = 1.0
# A host's name has at most 64 bytes.
_LONGEST_LEASE: Final = 256


def open_engine(  # noqa: PLR0913 - the last five are keywords
    address: EngineAddress,
    user: str,
    password: str,
    clock: Clock,
    *,
    node: str = "",
    call_seconds: float = _CALL_SECONDS,
    sentinel_user: str = "",
    sentinel_password: str = "",
) -> "ValkeyRecords":
    """Return the records in an engine, as the issuer sees them, or the node with this name."""
    connect_seconds = max(_CONNECT_SECONDS, call_seconds)
    names = user or address.user, password
    access = Access(address, *names, call_seconds, connect_seconds, sentinel_password, sentinel_user)
    return ValkeyRecords(EngineCalls(access), clock, node)


class ValkeyRecords:
    """Implements `port.NodeRecords`. It connects with its first call; the owner closes it."""

    def __init__(self, calls: EngineCalls, clock: Clock, node: str, strangers: Strangers | None = None) -> None:
        self._calls = calls
        self._clock = clock
        self._node = node
        self._strangers = strangers or Strangers(calls)

    async def close(self) -> None:
        await self._calls.close()

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        expected: str | None = None,
        lease: str | None = None,
        expires_at: float | None = None,
    ) -> str:
        stored = Stored(key, value, expires_at)
        if kind_of(key) is Kind.REPORT and lease is None:
            await self._put_report(stored, expected)
        else:
            kept = engine_scripts.milliseconds_left(stored, self._now)
            epoch = secrets.token_urlsafe(16)
            more = (stored.version, pack(stored), kept, epoch)
            await self._write(engine_scripts.PUT, key, expected, lease, *more)
        return stored.version

    async def delete(self, key: str, *, expected: str, lease: str | None = None) -> None:
        await self._write(engine_scripts.DELETE, key, expected, lease)

    async def get(self, key: str) -> Stored | None:
        longest = kind_of(key).longest
        (reply,) = await self._calls.ask(("GETRANGE", self._calls.key(key), 0, LONGEST_LINE + longest))
        return self._live(unpack(key, reply, longest))

    async def follow(self, *kinds: Kind) -> AsyncGenerator[Update, None]:
        follower = EngineFollower(self._calls, self._clock, kinds, self._node, self._strangers)
        async with aclosing(follower.follow()) as updates:
            async for update in updates:
                yield update

    def carry(self, report: Stored, expected: str | None, failed: Callable[[], None]) -> bool:  # noqa: ARG002
        """Return False: to read takes no requests that could bring it."""
        return False

    async def acquire(self, holder: str, seconds: int) -> str | None:
        lease = secrets.token_urlsafe(16)
        reply = await self._run(engine_scripts.ACQUIRE, "the lease", [engine_keys.LEASE], holder, lease, seconds * 1000)
        return lease if reply == engine_scripts.DONE else None

    async def extend(self, lease: str, seconds: int) -> bool:
        reply = await self._run(engine_scripts.EXTEND, "the lease", [engine_keys.LEASE], lease, seconds * 1000)
        return reply == engine_scripts.DONE

    async def holder(self) -> str | None:
        (reply,) = await self._calls.ask(("GETRANGE", self._calls.key(engine_keys.LEASE), 0, _LONGEST_LEASE))
        self._check("the lease", reply)
        found = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""
        return one_line(found.partition(" ")[2]) if found else None

    @property
    def _now(self) -> float:
        return self._clock.now().timestamp()

    async def _write(
        self, script: Script, key: str, expected: str | None, lease: str | None, *more: str | bytes | int
    ) -> None:
        directory, owner = engine_keys.place(key)
        parents = [f"{Kind.WRAP}/"] if owner else []
        keys = [key, engine_keys.LEASE, directory, engine_keys.EPOCH, *parents]
        channels = [self._calls.key(directory), *map(self._calls.key, parents), ""][:2]
        rest = (key.removeprefix(directory), key, *channels, owner, *more)
        reply = await self._run(script, key, keys, repr(self._now), lease or "", expected or "", *rest)
        if reply == engine_scripts.PRESENT and (junk := await self._junk_version(key)):
            reply = await self._run(script, key, keys, repr(self._now), lease or "", junk, *rest)
        if reply == engine_scripts.LEASE_LOST:
            raise LeaseLostError(f"cannot change {key}", "the lease has ended, or another one began")
        if reply != engine_scripts.DONE:
            raise _conflict(key, is_present=reply == engine_scripts.PRESENT)

    async def _junk_version(self, key: str) -> str:
        """Return the version of a value that only looks like a record, as scripts see no digests; "" for a record."""
        longest = kind_of(key).longest
        (reply,) = await self._calls.ask(("GETRANGE", self._calls.key(key), 0, LONGEST_LINE + longest))
        return "" if unpack(key, reply, longest) else version_in(reply)

    async def _run(self, script: Script, what: str, keys: list[str], *values: str | bytes | int) -> str:
        reply = await self._calls.run(script, keys, *values)
        if isinstance(reply, ResponseError):
            raise engine_errors.refusal(self._calls.name, what, reply)
        return reply

    async def _put_report(self, stored: Stored, expected: str | None) -> None:
        """Store a report in a transaction: a node may not run scripts, which can occupy the engine forever."""
        name, longest = self._calls.key(stored.key), kind_of(stored.key).longest
        async with self._calls.connection() as connection:
            watched, packed = await connection.ask(("WATCH", name), ("GETRANGE", name, 0, LONGEST_LINE + longest))
            self._check(stored.key, watched)
            current = self._live(unpack(stored.key, packed, longest))
            if current is not None and current.version not in {stored.version, expected}:
                raise _conflict(stored.key, is_present=True)
            if current is None and expected is not None:
                raise _conflict(stored.key, is_present=False)
            kept = engine_scripts.milliseconds_left(stored, self._now)
            replies = await connection.ask(
                ("MULTI",),
                ("SET", name, pack(stored), *(("PX", kept) if kept else ())),
                ("PUBLISH", self._calls.key(engine_keys.place(stored.key)[0]), stored.key),
                ("EXEC",),
            )
            for reply in replies:
                self._check(stored.key, reply)
            if replies[-1] is None:  # it changed meanwhile
                raise _conflict(stored.key, is_present=True)

    def _check(self, key: str, reply: Reply) -> None:
        if isinstance(reply, ResponseError):
            raise engine_errors.refusal(self._calls.name, key, reply)

    def _live(self, found: Stored | None) -> Stored | None:
        return None if found is None or is_over(found, self._now) else found


def _conflict(key: str, *, is_present: bool) -> ConflictError:
    found = "another version" if is_present else "no version"
    return ConflictError(f"cannot change {key}", f"{key} has {found}, not the expected one")
