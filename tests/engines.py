"""Records in a real Valkey or Redis that a test starts, and a plain client beside them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from stand.key_value import KeyValueServer, Server
from wellkeeper_node.ports import Clock
from wellkeeper_node.records.engine import parse_engine
from wellkeeper_node.records.engine_calls import EngineCalls
from wellkeeper_node.records.engine_connection import Access
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
