"""Records in a real engine: what a node sees and may do, what ends, and what the engine refuses."""

import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

import pytest

from stand.key_value import KeyValueServer
from tests.engines import EngineRecords, Follower, engine_records, records_at, until
from tests.fakes import FakeClock
from tests.relay.messages import signed
from wellkeeper_client.record_state import Stored, version_of
from wellkeeper_client.records import Kind
from wellkeeper_node.errors import ConflictError, RecordRefusedError, UnavailableError

SECONDS: Final = 600


@pytest.fixture
async def records(tmp_path: Path, clock: FakeClock) -> AsyncIterator[EngineRecords]:
    async with engine_records("redis", tmp_path / "engine", clock) as found:
        yield found


async def seen(records: EngineRecords, *kinds: Kind) -> list[str]:
    async with Follower(records, *kinds) as follower:
        return sorted(follower.seen)


async def test_node_sees_what_is_for_all_and_its_own(records: EngineRecords, clock: FakeClock) -> None:
    keys = ["bundle/www", "manifest/fleet", "node/web1", "node/web2", "publication/a", "wrap/web1/www", "wrap/web2/www"]
    keys += ["report/web1", "report/web2", "join/a"]
    node = EngineRecords(records.raw, clock, "web1")
    kinds = (Kind.BUNDLE, Kind.MANIFEST, Kind.NODE, Kind.PUBLICATION, Kind.WRAP, Kind.REPORT)
    async with Follower(node, *kinds) as follower:
        for key in keys:
            await records.put(key, b"value")
        own = [key for key in keys if "web2" not in key and key != "join/a"]
        await until(lambda: sorted(follower.seen) == sorted(own))
    assert await seen(node, *kinds) == sorted(own)
    assert await seen(records, *Kind) == sorted(keys)
    assert not node.carry(Stored("report/web1", b""), None, lambda: None)


async def test_report_is_stored_only_under_its_condition(records: EngineRecords, clock: FakeClock) -> None:
    first = await records.put("report/web1", b"1", expires_at=clock.timestamp() + SECONDS)
    assert await records.put("report/web1", b"1") == first
    with pytest.raises(ConflictError, match="another version"):
        await records.put("report/web1", b"2")
    with pytest.raises(ConflictError, match="no version"):
        await records.put("report/web2", b"2", expected=first)
    second = await records.put("report/web1", b"2", expected=first)
    clock.advance(SECONDS)
    await records.put("report/web1", b"3", expected=second)
    await records.delete("report/web1", expected=version_of(b"3"))
    assert await records.get("report/web1") is None


async def test_removed_wraps_leave_no_directory(records: EngineRecords) -> None:
    for lineage in ("a", "b"):
        await records.put(f"wrap/web1/{lineage}", b"1")
    for lineage in ("a", "b"):
        assert await records.ask("SCARD", "{wk}:wrap/") == 1
        await records.delete(f"wrap/web1/{lineage}", expected=version_of(b"1"))
    assert sorted(await records.ask("KEYS", "*")) == [b"{wk}:epoch"]


async def test_engine_removes_what_ended_and_writes_remove_its_name(records: EngineRecords, clock: FakeClock) -> None:
    await records.put("publication/a", b"1", expires_at=clock.timestamp() + SECONDS)
    assert SECONDS < await records.ask("TTL", "{wk}:publication/a") <= SECONDS + 60
    await records.ask("DEL", "{wk}:publication/a")
    number = 0
    while await records.ask("SISMEMBER", "{wk}:publication/", "a"):
        number += 1
        await records.put(f"publication/b{number}", b"1")
    assert await seen(records, Kind.PUBLICATION) == sorted(f"publication/b{one}" for one in range(1, number + 1))


@pytest.mark.parametrize(
    "junk",
    [
        ("SET", "{wk}:bundle/www", "junk"),
        ("SET", "{wk}:bundle/www", "a_version - z\njunk"),
        ("SET", "{wk}:bundle/www", "a_version - in-another-form\njunk"),
        ("SADD", "{wk}:bundle/www", "a", "b"),
    ],
)
async def test_junk_under_a_key_is_replaced_or_deleted(records: EngineRecords, junk: tuple[str, ...]) -> None:
    await records.ask(*junk)
    assert await records.get("bundle/www") is None
    await records.put("bundle/www", signed())
    assert (await records.get("bundle/www")) == Stored("bundle/www", signed())
    await records.ask("DEL", "{wk}:bundle/www")
    await records.ask(*junk)
    await records.delete("bundle/www", expected=version_of(signed()))
    assert await records.ask("EXISTS", "{wk}:bundle/www") == 0


async def test_engine_without_room_refuses_records_but_deletes(records: EngineRecords) -> None:
    version = await records.put("bundle/www", signed())
    await records.ask("CONFIG", "SET", "maxmemory", "1")
    for key in ("bundle/other", "report/web1"):
        with pytest.raises(RecordRefusedError, match=f"refused {key}: .*maxmemory.* Raise the engine's maxmemory"):
            await records.put(key, b"x")
    await records.delete("bundle/www", expected=version)
    assert await records.get("bundle/www") is None


async def test_directory_of_another_type_is_reported(records: EngineRecords) -> None:
    await records.ask("SET", "{wk}:bundle/", "text")
    with pytest.raises(UnavailableError, match=r"refused bundle/www: WRONGTYPE .* choose another prefix"):
        await records.put("bundle/www", b"x")
    with pytest.raises(UnavailableError, match="choose another prefix"):
        await anext(records.follow(Kind.BUNDLE))


async def test_many_messages_are_read_in_pieces(records: EngineRecords) -> None:
    async with aclosing(records.follow(Kind.BUNDLE)) as updates:
        await anext(updates)
        for number in range(300):
            await records.raw.ask(("PUBLISH", "{wk}:bundle/", f"bundle/{number}"))
        removed: list[str] = []
        while len(removed) < 300:
            removed += (await anext(updates)).removed
    assert removed == [f"bundle/{number}" for number in range(300)]


async def test_large_records_are_read_whole_and_in_parts(records: EngineRecords) -> None:
    values = {
        f"bundle/{number:03}": signed(f"bundle/{number:03}", text=secrets.token_hex(20_000)) for number in range(150)
    }
    for key, value in values.items():
        await records.put(key, value)
    found: dict[str, bytes] = {}
    async with aclosing(records.follow(Kind.BUNDLE)) as updates:
        async for update in updates:
            assert sum(len(one.value) for one in update.records) < 2 * 1024 * 1024
            found |= {one.key: one.value for one in update.records}
            if update.is_whole:
                break
    assert found == values


async def test_kept_connection_that_ended_is_replaced(tmp_path: Path, clock: FakeClock) -> None:
    async with KeyValueServer("redis", tmp_path / "engine", "--appendonly", "yes") as running:
        records = records_at(f"unix:{running.socket}", clock)
        await records.put("bundle/www", b"1")
        await running.kill()
        await running.start_again()
        assert await records.get("bundle/www") == Stored("bundle/www", b"1")
        await records.close()
