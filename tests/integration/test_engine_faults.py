"""Records in a real Valkey or Redis that is killed, frozen, emptied or replaced, and a failover that loses a write."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from stand.key_value import KeyValueServer, Sentinel, Server, watching
from stand.ports import free_port
from tests.engines import EngineRecords, Follower, put_until_stored, records_at, until
from tests.relay.messages import FLEET_KEY, signed
from wellkeeper_client.record_state import version_of
from wellkeeper_client.records import Kind, Record
from wellkeeper_issuer.fleet.feed import Feed
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import UnavailableError

pytestmark = pytest.mark.integration

CLOCK: Final = SystemClock()
# What a test waits for an engine that never answers.
PATIENCE: Final = 1.0
# A primary waits for more replicas before it sends its data.
AT_ONCE: Final = ("--repl-diskless-sync-delay", "0")


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as found:
        yield found


async def opened(stack: AsyncExitStack, address: str, call_seconds: float = 20) -> EngineRecords:
    found = records_at(address, CLOCK, call_seconds=call_seconds)
    stack.push_async_callback(found.close)
    return found


@pytest.mark.parametrize("server", ["redis", "valkey"])
async def test_engine_killed_in_the_middle_of_a_follow_loses_nothing(
    server: Server, tmp_path: Path, stack: AsyncExitStack
) -> None:
    engine = await stack.enter_async_context(KeyValueServer(server, tmp_path / "engine", "--appendonly", "yes"))
    address = f"unix:{engine.socket}"
    writer = await opened(stack, address)
    expected = {f"bundle/{number:03}": signed(f"bundle/{number:03}") for number in range(60)}
    async with Follower(await opened(stack, address), Kind.BUNDLE) as follower:
        for number, (key, value) in enumerate(expected.items()):
            if number == 30:
                await engine.kill()
                await engine.start_again()
            await put_until_stored(writer, key, value)
        await until(lambda: follower.seen == expected)
    assert (len(follower.failures) > 0, follower.removed) == (True, [])


async def test_frozen_engine_is_noticed_and_continues(tmp_path: Path, stack: AsyncExitStack) -> None:
    engine = await stack.enter_async_context(KeyValueServer("valkey", tmp_path / "engine"))
    records = await opened(stack, f"unix:{engine.socket}", PATIENCE)
    first, second = signed("bundle/a"), signed("bundle/b")
    await put_until_stored(records, "bundle/a", first)
    async with Follower(records, Kind.BUNDLE) as follower:
        engine.process.signal(signal.SIGSTOP)
        with pytest.raises(UnavailableError, match="did not answer within 1 s"):
            await records.put("bundle/b", second)
        await until(lambda: bool(follower.failures))
        assert follower.seen == {"bundle/a": first}
        engine.process.signal(signal.SIGCONT)
        # It may have been stored anyway; to repeat it is not a conflict.
        await put_until_stored(records, "bundle/b", second)
        await until(lambda: follower.seen == {"bundle/a": first, "bundle/b": second})
    assert follower.removed == []


async def test_engine_that_is_not_there_or_drops_everything_is_unavailable(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    await stack.enter_async_context(await asyncio.start_unix_server(keep, tmp_path / "hole"))
    for name, why in (
        ("none", "cannot use the engine at unix:.*No such file"),
        ("hole", "did not answer within 0.1 s"),
    ):
        records = await opened(stack, f"unix:{tmp_path / name}", 0.1)
        with pytest.raises(UnavailableError, match=why):
            await records.get("bundle/a")
        with pytest.raises(UnavailableError, match=why):
            await anext(records.follow(Kind.BUNDLE))


async def test_emptied_or_exchanged_engine_begins_a_snapshot_and_removes_nothing(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    engine = await stack.enter_async_context(KeyValueServer("redis", tmp_path / "engine"))
    records = await opened(stack, f"unix:{engine.socket}")
    await records.put("bundle/a", signed("bundle/a"))
    async with Follower(records, Kind.BUNDLE) as follower:
        await records.ask("FLUSHALL")
        await until(lambda: follower.snapshots == 2)
        await records.put("bundle/b", signed("bundle/b"))
        await until(lambda: "bundle/b" in follower.seen)
        await records.ask("SET", "{wk}:epoch", "of another engine")
        await until(lambda: follower.snapshots == 3)
    assert (sorted(follower.seen), follower.removed, follower.failures) == (["bundle/a", "bundle/b"], [], [])


async def test_issuer_writes_again_what_a_failover_lost(tmp_path: Path, stack: AsyncExitStack) -> None:
    primary = await stack.enter_async_context(KeyValueServer("redis", tmp_path / "one", *AT_ONCE))
    replica = await stack.enter_async_context(
        KeyValueServer("redis", tmp_path / "two", "--replicaof", f"127.0.0.1 {primary.port}")
    )
    address = f"unix:{primary.socket}"
    records, beside = await opened(stack, address), await opened(stack, f"unix:{replica.socket}")
    feed = Feed(records, FLEET_KEY, CLOCK, {})
    running = asyncio.create_task(feed.run())
    stack.callback(running.cancel)
    await feed.put(bundle(1))
    await until_true(lambda: beside.get("bundle/www"))
    with pytest.raises(UnavailableError, match="Set the address of the engine's primary"):
        await beside.put("bundle/other", signed("bundle/other"))
    await beside.ask("REPLICAOF", "NO", "ONE")  # the last write does not reach it
    await feed.put(bundle(2))
    acknowledged = await records.get("bundle/www")
    await primary.kill()
    replica.socket.rename(primary.socket)
    follower = await stack.enter_async_context(Follower(await opened(stack, address), Kind.BUNDLE))
    assert acknowledged is not None
    await until(lambda: follower.seen.get("bundle/www") == acknowledged.value)


async def until_true(ask: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(60):
        while not await ask():  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.02)


async def until_replicated(replica: EngineRecords) -> None:
    async def is_up() -> bool:
        return b"master_link_status:up" in await replica.ask("INFO", "replication")

    await until_true(is_up)


def bundle(number: int) -> Record:
    now = datetime.now(UTC)
    end = now + timedelta(hours=1)
    return Record("bundle/www", number, int(now.timestamp()), int(end.timestamp()), {})


async def test_sentinels_lead_to_the_new_primary(tmp_path: Path, stack: AsyncExitStack) -> None:
    primary = await stack.enter_async_context(KeyValueServer("redis", tmp_path / "one", *AT_ONCE))
    replica = await stack.enter_async_context(
        KeyValueServer("redis", tmp_path / "two", "--replicaof", f"127.0.0.1 {primary.port}")
    )
    beside = await opened(stack, f"unix:{replica.socket}")
    await until_replicated(beside)
    port = free_port()
    configuration = watching(primary.port, f"port {port}")
    sentinel = await stack.enter_async_context(Sentinel(tmp_path / "sentinel", port, configuration))
    address = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/fleet"
    records = await opened(stack, address)
    lease = await records.acquire("issuer", 60)
    version = await records.put("bundle/www", signed(), lease=lease)
    await until_true(lambda: beside.get("bundle/www"))
    async with Follower(records, Kind.BUNDLE) as follower:
        await primary.kill()
        await put_until_stored(records, "bundle/www", signed(number=2), expected=version, lease=lease)
        await until(lambda: follower.seen["bundle/www"] == signed(number=2))
    found = await beside.get("bundle/www")
    assert (found and found.version, follower.removed) == (version_of(signed(number=2)), [])
