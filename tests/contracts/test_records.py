"""Contract of `wellkeeper_node.records.port.Records`: in memory, at a relay's socket, in real engines."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Final

import pytest

from tests.engines import EngineRecords, engine_records
from tests.fakes import FakeClock
from tests.relay.conftest import settings
from tests.relay.messages import signed
from tests.responder.messages import NOW
from wellkeeper_client.record_state import Stored, version_of
from wellkeeper_client.records import Kind
from wellkeeper_node.errors import ConflictError, LeaseLostError, RecordRefusedError
from wellkeeper_node.records.memory import MemoryRecords
from wellkeeper_node.records.port import Records, Update
from wellkeeper_node.records.relay import RelayRecords
from wellkeeper_node.records.valkey import ValkeyRecords
from wellkeeper_relay.app import Relay

KEY: Final = "bundle/www"
FIRST: Final = signed(KEY, 1)
SECOND: Final = signed(KEY, 2)
THIRD: Final = signed(KEY, 3)
MAX_BYTES: Final = 1024 * 1024


@pytest.fixture
def clock() -> FakeClock:
    found = FakeClock()
    found.step(NOW - found.timestamp())
    return found


@pytest.fixture(params=["memory", "relay", "redis", "valkey"])
async def store(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Records]:
    if request.param == "memory":
        yield MemoryRecords(clock, MAX_BYTES)
        return
    if request.param != "relay":
        async with engine_records(request.param, tmp_path / "engine", clock) as engine:
            yield engine
        return
    made = settings(tmp_path, MAX_BYTES)
    # A long poll must not let the relay's time pass.
    async with Relay(made, clock), contextlib.AsyncExitStack() as stack:
        found = RelayRecords(str(made.issuer), FakeClock(clock.now()))
        stack.push_async_callback(found.close)
        yield found


@pytest.fixture
def elapse(store: Records, clock: FakeClock) -> Callable[[float], Awaitable[None]]:
    """Let seconds pass, for an engine as well, which has its own clock."""

    async def elapse(seconds: float) -> None:
        clock.advance(seconds)
        if isinstance(store, EngineRecords):
            await store.shorten_lease(seconds)

    return elapse


async def test_value_is_read_until_it_is_replaced(store: Records) -> None:
    assert await store.get(KEY) is None
    version = await store.put(KEY, FIRST)
    assert version == version_of(FIRST)
    found = await store.get(KEY)
    assert found is not None
    assert (found.key, found.value, found.version) == (KEY, FIRST, version)
    assert await store.put(KEY, SECOND, expected=version) == version_of(SECOND)
    assert (await value_of(store)) == SECOND


async def value_of(store: Records, key: str = KEY) -> bytes | None:
    found = await store.get(key)
    return found.value if found else None


async def test_unexpected_version_refuses_the_write(store: Records) -> None:
    await store.put(KEY, FIRST)
    for expected in (None, version_of(THIRD)):
        with pytest.raises(ConflictError, match="another version"):
            await store.put(KEY, SECOND, expected=expected)
    with pytest.raises(ConflictError):
        await store.delete(KEY, expected=version_of(SECOND))
    assert await value_of(store) == FIRST


async def test_expected_version_that_is_gone_refuses_the_write(store: Records) -> None:
    with pytest.raises(ConflictError, match="no version"):
        await store.put(KEY, SECOND, expected=version_of(FIRST))
    assert await value_of(store) is None


async def test_repeated_write_changes_nothing(store: Records) -> None:
    await store.put(KEY, FIRST)
    async with aclosing(store.follow(Kind.BUNDLE)) as updates:
        await anext(updates)
        for _ in range(2):
            assert await store.put(KEY, FIRST) == version_of(FIRST)
            await store.put(KEY, SECOND, expected=version_of(FIRST))
            await store.put(KEY, SECOND, expected=version_of(FIRST))
            await store.put(KEY, FIRST, expected=version_of(SECOND))
        await store.put("bundle/other", signed("bundle/other"))
        seen = await keys_until(updates, "bundle/other")
    assert seen.count(KEY) <= 2 * 2


async def keys_until(updates: AsyncGenerator[Update, None], last: str) -> list[str]:
    """Return the keys of the changes up to this one."""
    seen: list[str] = []
    while last not in seen:
        seen += [one.key for one in (await anext(updates)).records]
    return seen


async def test_deleted_record_is_gone_and_deleting_again_succeeds(store: Records) -> None:
    version = await store.put(KEY, FIRST)
    for _ in range(2):
        await store.delete(KEY, expected=version)
        assert await value_of(store) is None
    await store.put(KEY, SECOND)


async def test_record_is_gone_at_its_end(store: Records, clock: FakeClock) -> None:
    await store.put(KEY, FIRST, expires_at=NOW + 10)
    clock.advance(9.5)
    assert await value_of(store) == FIRST
    clock.advance(0.5)
    assert await value_of(store) is None
    await store.put(KEY, SECOND)


async def test_follower_gets_a_snapshot_and_then_changes(store: Records) -> None:
    await store.put(KEY, FIRST)
    await store.put("wrap/web1/www", signed("wrap/web1/www"))
    async with aclosing(store.follow(Kind.BUNDLE, Kind.MANIFEST)) as updates:
        snapshot = await anext(updates)
        assert ([one.value for one in snapshot.records], snapshot.is_snapshot, snapshot.is_whole) == (
            [FIRST],
            True,
            True,
        )
        await store.put("manifest/fleet", signed("manifest/fleet"))
        change = await anext(updates)
        assert ([one.key for one in change.records], change.is_snapshot) == (["manifest/fleet"], False)
        await store.put(KEY, SECOND, expected=version_of(FIRST))
        assert [one.value for one in (await anext(updates)).records] == [SECOND]
        await store.delete(KEY, expected=version_of(SECOND))
        assert (await anext(updates)).removed == (KEY,)


async def test_snapshot_of_nothing_is_reported(store: Records) -> None:
    async with aclosing(store.follow(Kind.REPORT)) as updates:
        assert await anext(updates) == Update((), (), is_snapshot=True, is_whole=True)


async def test_changes_of_other_kinds_do_not_wake_a_follower(store: Records) -> None:
    async with aclosing(store.follow(Kind.MANIFEST)) as updates:
        await anext(updates)
        await store.put(KEY, FIRST)
        await store.put("manifest/fleet", signed("manifest/fleet"))
        assert [one.key for one in (await anext(updates)).records] == ["manifest/fleet"]


async def test_waiting_follower_is_woken(store: Records) -> None:
    async with aclosing(store.follow(Kind.BUNDLE)) as updates:
        await anext(updates)
        change = asyncio.ensure_future(anext(updates))
        await asyncio.sleep(0)
        await store.put(KEY, FIRST)
        assert [one.value for one in (await change).records] == [FIRST]


async def test_every_follower_gets_every_change(store: Records) -> None:
    async with aclosing(store.follow(Kind.BUNDLE)) as one, aclosing(store.follow(Kind.BUNDLE)) as two:
        for updates in (one, two):
            await anext(updates)
        for number in range(5):
            await store.put(f"bundle/{number}", signed(f"bundle/{number}"))
        expected = [f"bundle/{number}" for number in range(5)]
        assert [await keys_until(updates, "bundle/4") for updates in (one, two)] == [expected, expected]


async def test_change_while_the_follower_is_busy_is_not_lost(store: Records) -> None:
    await store.put(KEY, FIRST)
    async with aclosing(store.follow(Kind.BUNDLE)) as updates:
        await anext(updates)
        await store.put(KEY, SECOND, expected=version_of(FIRST))
        await store.put(KEY, THIRD, expected=version_of(SECOND))
        assert (await anext(updates)).records[-1].value == THIRD


async def test_large_snapshot_comes_whole_in_parts(store: Records) -> None:
    keys = [f"bundle/{number:03}" for number in range(12)]
    for key in keys:
        await store.put(key, signed(key, text="x" * 40_000))
    async with aclosing(store.follow(Kind.BUNDLE)) as updates:
        parts = [await anext(updates)]
        while not parts[-1].is_whole:
            parts.append(await anext(updates))
    assert len(parts) > 1
    assert all(part.is_snapshot for part in parts)
    assert sorted(one.key for part in parts for one in part.records) == keys


@pytest.mark.parametrize("store", ["memory", "relay"], indirect=True)
async def test_full_store_refuses_more_and_keeps_what_it_has(store: Records) -> None:
    keys = [f"bundle/{number:03}" for number in range(20)]
    for key in keys:
        await store.put(key, signed(key, text="x" * 34_000))
    key = "bundle/more"
    await store.put(key, signed(key, text="x" * 60_000))
    key = "bundle/too-much"
    with pytest.raises(RecordRefusedError, match="limit"):
        await store.put(key, signed(key, text="x" * 60_000))
    assert await value_of(store, keys[0]) == signed(keys[0], text="x" * 34_000)


async def test_only_one_holder_has_the_lease(store: Records, elapse: Callable[[float], Awaitable[None]]) -> None:
    lease = await store.acquire("one", 60)
    assert lease is not None
    assert await store.acquire("two", 60) is None
    await elapse(59)
    assert await store.extend(lease, 60)
    await elapse(59)
    assert await store.acquire("two", 60) is None
    await elapse(1)
    assert not await store.extend(lease, 60)
    second = await store.acquire("two", 60)
    assert second not in {None, lease}


async def test_holder_is_known_until_the_lease_ends(store: Records, elapse: Callable[[float], Awaitable[None]]) -> None:
    if isinstance(store, RelayRecords):  # it says nothing about its holder
        return
    assert isinstance(store, MemoryRecords | ValkeyRecords)
    assert await store.holder() is None
    await store.acquire("web1 pid 7 a", 60)
    assert await store.holder() == "web1 pid 7 a"
    await elapse(60)
    assert await store.holder() is None


async def test_holder_that_asks_again_gets_another_lease(store: Records) -> None:
    first = await store.acquire("one", 60)
    second = await store.acquire("one", 60)
    assert first is not None
    assert second not in {None, first}
    assert not await store.extend(first, 60)


async def test_lost_lease_refuses_writes(store: Records, elapse: Callable[[float], Awaitable[None]]) -> None:
    lease = await store.acquire("one", 60)
    version = await store.put(KEY, FIRST, lease=lease)
    await elapse(60)
    with pytest.raises(LeaseLostError):
        await store.put(KEY, FIRST, lease=lease)
    with pytest.raises(LeaseLostError):
        await store.delete(KEY, expected=version, lease=lease)
    second = await store.acquire("two", 60)
    with pytest.raises(LeaseLostError):
        await store.put(KEY, SECOND, expected=version, lease=lease)
    assert await store.put(KEY, SECOND, expected=version, lease=second)
    await store.delete(KEY, expected=version_of(SECOND), lease=second)


async def test_cancelled_follower_can_be_replaced(store: Records) -> None:
    async with aclosing(store.follow(Kind.BUNDLE)) as updates:
        await anext(updates)
        waiting = asyncio.ensure_future(anext(updates))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with aclosing(store.follow(Kind.BUNDLE)) as updates:
        await anext(updates)
        await store.put(KEY, FIRST)
        assert [one.key for one in (await anext(updates)).records] == [KEY]


async def test_record_that_expired_is_not_in_a_snapshot(store: Records, clock: FakeClock) -> None:
    await store.put(KEY, FIRST, expires_at=NOW + 10)
    clock.advance(10)
    async with aclosing(store.follow(Kind.BUNDLE)) as updates:
        assert (await anext(updates)).records == ()


async def test_end_of_a_record_is_known_to_readers(store: Records) -> None:
    await store.put(KEY, FIRST, expires_at=NOW + 10)
    assert await store.get(KEY) == Stored(KEY, FIRST, NOW + 10)
