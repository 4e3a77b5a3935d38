"""A million entries of others in an engine: followers stay quick, nothing is removed, and the issuer continues."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from stand.key_value import KeyValueServer
from tests.engines import EngineRecords, Follower, records_at, until
from tests.relay.messages import FLEET_KEY, record
from wellkeeper_client.records import Kind
from wellkeeper_issuer.fleet.feed import Feed
from wellkeeper_node.clock import SystemClock

pytestmark = [pytest.mark.integration, pytest.mark.any_python]

CLOCK: Final = SystemClock()
MILLION: Final = 1_000_000
# In parts, since an engine refuses other commands after five seconds of one script.
PART: Final = 50_000
# With the rights of the issuer's user: names of records into a directory. With those of the nodes' user: keys.
NAMES: Final = "for one = ARGV[1], ARGV[1] + ARGV[2] - 1 do redis.call('SADD', KEYS[1], 'junk' .. one) end"
KEYS: Final = "for one = ARGV[1], ARGV[1] + ARGV[2] - 1 do redis.call('SET', KEYS[1] .. one, 'junk') end"


async def fill(records: EngineRecords, script: str, key: str, count: int) -> None:
    for first in range(0, count, PART):
        await records.ask("EVAL", script, 1, records.raw.key(key), first, PART)


@asynccontextmanager
async def feeding(records: EngineRecords) -> AsyncIterator[Feed]:
    feed = Feed(records, FLEET_KEY, CLOCK, {})
    running = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_million_entries_of_others_are_ignored_until_they_are_deleted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with KeyValueServer("valkey", tmp_path / "engine", has_port=False) as engine:
        address = f"unix:{engine.socket}"
        issuer, node = records_at(address, CLOCK), records_at(address, CLOCK, node="web1")
        await fill(issuer, KEYS, "report/junk", MILLION // 10)
        await fill(issuer, NAMES, "bundle/", MILLION)
        await fill(issuer, NAMES, "wrap/", MILLION // 10)
        now = int(time.time())
        async with feeding(issuer) as feed, Follower(node, Kind.BUNDLE, Kind.WRAP) as follower:
            await feed.put(*(record(key, issued_at=now) for key in ("bundle/www", "wrap/web1/www")))
            await feed.heard.wait()
            assert feed.failure == ""
            await until(lambda: {"bundle/www", "wrap/web1/www"} <= follower.seen.keys())
            warnings = [one for one in caplog.messages if "other entries among the records" in one]
            assert len(warnings) == 3  # of bundles by both, of wraps by the issuer
            for key in ("bundle/", "wrap/"):
                assert f"then delete {{wk}}:{key} and {{wk}}:epoch in the engine" in "".join(warnings)
            await issuer.ask("DEL", "{wk}:bundle/", "{wk}:wrap/", "{wk}:epoch")
            await until(lambda: follower.snapshots == 2)
            while await issuer.ask("SCARD", "{wk}:bundle/") + await issuer.ask("SCARD", "{wk}:wrap/") != 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            assert follower.removed == follower.failures == []
        for one in (issuer, node):
            await one.close()
