"""The records that an engine has of a fleet: only new ones fill it, and `use --none` deletes ours, no others."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from stand.ports import free_port
from tests.integration.test_engine_issuers import WEB1, issuer, settings_of, until
from tests.integration.test_engine_rights import ISSUER, NODE, Engine, engine, lines, seen
from tests.relay.messages import WEB1_KEY, signed
from wellkeeper_client import records
from wellkeeper_client.records import Kind
from wellkeeper_issuer.assembly.engine_checks import look_at_engine
from wellkeeper_issuer.assembly.engine_contents import Cleared, clear, delete, leave, wait_until_filled
from wellkeeper_issuer.assembly.engine_records import judge_records
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.agent.report import Report
from wellkeeper_node.findings import Verdict
from wellkeeper_node.records.engine import parse_engine

pytestmark = pytest.mark.integration

# By the key of another fleet.
FOREIGN: Final = {"bundle/theirs": signed("bundle/theirs"), "node/theirs": signed("node/theirs")}


@asynccontextmanager
async def filled(made: Engine, folder: Path) -> AsyncIterator[Settings]:
    """Yield the settings of an issuer that has fed the engine, with a node that has reported."""
    settings = settings_of(made, folder, "a")
    async with issuer(settings) as (fleet, state, _):
        await state.fleet.record_node(WEB1)
        await until(lambda: fleet.feed.is_there("node/web1") and fleet.feed.has("node/web1"))
        async with made.user(NODE, "web1") as (_, node):
            now = int(time.time())
            report = records.sign(Report("1.2.3", now).to_record("web1", 1, now), WEB1_KEY)
            await node.put("report/web1", report.encode(), expires_at=now + 60)
        yield settings


async def contents(made: Engine) -> set[str]:
    async with made.user(ISSUER) as (_, records_there):
        return await seen(records_there, *Kind)


async def put_foreign(made: Engine) -> None:
    async with made.user(ISSUER) as (_, theirs):
        for key, value in FOREIGN.items():
            await theirs.put(key, value, expires_at=time.time() + 60)


async def test_everything_is_deleted_once_no_issuer_feeds_the_engine(folder: Path) -> None:
    async with engine("valkey", folder, *lines()) as made:
        async with filled(made, folder) as settings:
            assert {"node/web1", "report/web1", "heartbeat/issuer"} <= await contents(made)
            clearing = asyncio.create_task(clear(settings, made.address))
            await asyncio.sleep(0.1)
            assert not clearing.done()
        cleared = await clearing
        assert (cleared.count >= 3, cleared.why) == (True, "")
        assert await contents(made) == set()
        async with made.user(ISSUER) as (calls, _):
            (left,) = await calls.ask(("EXISTS", "{wk}:epoch", "{wk}:lease", "{wk}:node/", "{wk}:bundle/"))
        assert left == 0


async def test_records_of_others_stay(folder: Path) -> None:
    async with engine("valkey", folder, *lines()) as made:
        async with filled(made, folder) as settings:
            await put_foreign(made)
        async with made.user(ISSUER) as (calls, _):
            assert (await clear(settings, made.address)).why == ""
            assert await contents(made) == set(FOREIGN)
            assert await calls.ask(("EXISTS", "{wk}:epoch")) == [1]


async def test_former_engine_is_emptied_unless_it_is_the_same_server(folder: Path) -> None:
    (folder / "other").mkdir()
    async with engine("valkey", folder, *lines()) as made, engine("redis", folder / "other", *lines()) as other:
        async with filled(made, folder) as settings:
            pass
        away = settings_of(other, folder, "a")
        same = settings_of(replace(made, host="localhost"), folder, "a")
        assert await leave(settings, settings) is None
        assert await leave(settings, same) is None
        assert "node/web1" in await contents(made)
        (folder / "issuer.password").rename(folder / "moved")
        missing = await leave(settings, away)
        (folder / "moved").rename(folder / "issuer.password")
        assert missing is not None
        assert "the password of the engine is missing" in missing.why
        async with made.user(ISSUER) as (calls, _):
            (epoch,) = await calls.ask(("GET", "{wk}:epoch"))
            await calls.ask(("DEL", "{wk}:epoch"), ("SADD", "{wk}:epoch", "x"))
            odd = await leave(settings, away)
            await calls.ask(("SET", "{wk}:epoch", epoch))
        assert odd is not None
        assert "WRONGTYPE" in odd.why
        left = await leave(settings, away)
        assert left is not None
        assert (left.count >= 3, left.why) == (True, "")
        assert await contents(made) == set()


async def test_record_that_changes_meanwhile_stays(folder: Path) -> None:
    async with engine("valkey", folder, *lines()) as made, made.user(ISSUER) as (_, there):
        version = await there.put("bundle/a", b"1", expires_at=time.time() + 60)
        await there.put("bundle/b", b"2", expires_at=time.time() + 60)
        lease = await there.acquire("issuer", 60) or ""
        assert await delete(there, lease, [("bundle/a", version), ("bundle/b", version)]) == ["bundle/b"]
        assert await contents(made) == {"bundle/b"}


async def test_nothing_is_deleted_while_another_issuer_feeds_the_engine(folder: Path) -> None:
    async with engine("valkey", folder, *lines()) as made:
        async with filled(made, folder) as settings:
            pass
        async with made.user(ISSUER) as (_, other):
            assert await other.acquire("another issuer", 60)
            cleared = await clear(settings, made.address, lease_seconds=0.5)
        assert cleared == Cleared(0, "an issuer still feeds it")
        assert "node/web1" in await contents(made)


async def test_engine_that_is_away_or_cannot_be_used_is_a_reason(folder: Path) -> None:
    async with engine("valkey", folder, *lines()) as made:
        settings = settings_of(made, folder, "a")
        assert await clear(settings, made.address) == Cleared(0)  # this host never had a fleet
        away = await clear(settings, parse_engine(f"redis://127.0.0.1:{free_port()}"))
        assert "Check that a Valkey or Redis server runs" in away.why
        (folder / "issuer.password").unlink()
        assert "the password of the engine is missing" in (await clear(settings, made.address)).why


async def judged(made: Engine, settings: Settings) -> tuple[Verdict, str]:
    async with made.user(ISSUER) as (calls, _):
        (found,) = await judge_records(settings, calls, made.address)
    return found.verdict, found.cause


async def test_what_others_wrote_is_found(folder: Path) -> None:
    async with engine("valkey", folder, *lines()) as made, filled(made, folder) as settings:
        verdict, cause = await judged(made, settings)
        assert (verdict, cause.endswith("records, and nothing else among them")) == (Verdict.OK, True), cause
        assert await look_at_engine(settings, made.address) != []  # maxmemory is not set
        foreign = await judged(made, settings_of(made, folder, "b"))
        assert foreign == (Verdict.FAIL, "another fleet uses the prefix '{wk}' in this engine")
        async with made.user(ISSUER) as (calls, _):
            await calls.ask(("SADD", "{wk}:bundle/", "not a name"))
            verdict, cause = await judged(made, settings)
            assert (verdict, "bundle/: it contains a name that is not a record's" in cause) == (Verdict.WARN, True)
            await calls.ask(("DEL", "{wk}:wrap/"), ("SET", "{wk}:wrap/", "x"))
            async with made.user(ISSUER) as (again, _):
                found = await judge_records(settings, again, made.address)
        assert [one.verdict for one in found] == [Verdict.WARN, Verdict.FAIL]
        assert "WRONGTYPE" in found[1].cause


async def test_node_records_from_before_do_not_count_as_filled(folder: Path) -> None:
    async with engine("valkey", folder, *lines()) as made:
        began = time.time()
        async with filled(made, folder) as settings:
            await put_foreign(made)
            assert await wait_until_filled(settings, began)
            assert not await wait_until_filled(settings, time.time() + 60, seconds=3)
