"""Records in a real Valkey or Redis that a test starts, and a plain client beside them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

from stand.key_value import KeyValueServer, Server
from wellkeeper_client.records import Kind
from wellkeeper_node.errors import UnavailableError
from wellkeeper_node.ports import Clock
from wellkeeper_node.records.engine import parse_engine
from wellkeeper_node.records.engine_calls import EngineCalls
from wellkeeper_node.records.engine_connection import Access
from wellkeeper_node.records.port import Records
from wellkeeper_node.records.valkey import ValkeyRecords

# A busy machine answers late.
CALL_SECONDS: Final = 20.0


class EngineRecords(ValkeyRecords):
    """Records with what only a test does with an engine."""

    def __init__(self, calls: EngineCalls, clock: Clock, node: str = "") -> None:
        super().__init__(calls, clock, node)
        self.raw = calls

    async def ask(self, *command: str | bytes | int) -> Any:  # noqa: ANN401 - whatever the engine replies
        (reply,) = await self.raw.ask(command)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def shorten_lease(self, seconds: float) -> None:
        """Let the lease, if any, end so many seconds earlier."""
        lease = self.raw.key("lease")
        left = await self.ask("PTTL", lease) - int(seconds * 1000)
        # The engine itself needs some milliseconds between two calls.
        await (self.ask("PEXPIRE", lease, left) if left > 500 else self.ask("DEL", lease))


def records_at(address: str, clock: Clock, *, node: str = "", call_seconds: float = CALL_SECONDS) -> EngineRecords:
    access = Access(parse_engine(address), "", "", call_seconds, call_seconds)
    return EngineRecords(EngineCalls(access), clock, node)


@asynccontextmanager
async def engine_records(server: Server, folder: Path, clock: Clock) -> AsyncIterator[EngineRecords]:
    """Start an engine, and end it."""
    async with KeyValueServer(server, folder, has_port=False) as running:
        found = records_at(f"unix:{running.socket}", clock)
        try:
            yield found
        finally:
            await found.close()


class Follower:
    """Follows until the block ends, and begins again after a failure, as issuer and nodes do."""

    def __init__(self, records: Records, *kinds: Kind) -> None:
        self.seen: dict[str, bytes] = {}
        self.removed: list[str] = []
        self.snapshots = 0
        self.failures: list[str] = []
        self._records, self._kinds = records, kinds

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        await until(lambda: self.snapshots > 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            try:
                async with aclosing(self._records.follow(*self._kinds)) as updates:
                    async for update in updates:
                        self.seen |= {one.key: one.value for one in update.records}
                        self.removed += update.removed
                        self.snapshots += update.is_snapshot and update.is_whole
            except UnavailableError as error:
                self.failures.append(str(error))
            await asyncio.sleep(0.02)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the condition; the test's time-out is the limit."""
    while not condition():  # noqa: ASYNC110 - what an update changes sets no event
        await asyncio.sleep(0.01)


async def put_until_stored(
    records: Records, key: str, value: bytes, *, expected: str | None = None, lease: str | None = None
) -> None:
    """Repeat a write as it was until the engine answers."""
    while True:
        try:
            await records.put(key, value, expected=expected, lease=lease)
        except UnavailableError:
            await asyncio.sleep(0.02)
        else:
            return
