"""Relay and engine get the same records, except those with which nodes join; one of them may be away."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.issuer.fleet.relays import FakeRelay
from tests.issuer.fleet.test_feed import record
from tests.relay.messages import FLEET_KEY, signed
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_issuer.fleet.feed import Feed
from wellkeeper_issuer.fleet.feeds import Feeds


class Both:
    """Two stores in memory, with a feed each."""

    def __init__(self, clock: FakeClock, max_bytes: int = 64 * 1024 * 1024) -> None:
        self.relay, self.engine = FakeRelay(clock, max_bytes), FakeRelay(clock, max_bytes)
        self.of_relay, self.of_engine = (Feed(one, FLEET_KEY, clock, {}) for one in (self.relay, self.engine))
        self.feeds = Feeds(self.of_relay, self.of_engine)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.feeds.run())
        try:
            await self.feeds.wait(seconds=10)
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def keys(self, kind: Kind) -> list[list[str]]:
        return [await one.keys(kind) for one in (self.relay, self.engine)]


@pytest.fixture
def both(clock: FakeClock) -> Both:
    return Both(clock)


async def test_log_names_the_one_that_is_away(both: Both, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with both.running():
        both.engine.is_up = False
        await both.feeds.put(record(clock))
        both.engine.is_up = True
        await run_tasks_until(lambda: not both.of_engine.failure)
    first, second = (one.getMessage() for one in caplog.records)
    assert first.startswith("nodes get nothing new through the engine for now: cannot reach")
    assert second == "the engine answers again"


async def test_both_get_everything_but_what_concerns_joining(both: Both, clock: FakeClock) -> None:
    async with both.running():
        manifest = signed("manifest/fleet")
        await both.feeds.put(record(clock), record(clock, "invite/i"), record(clock, "answer/i"))
        await both.feeds.put_signed(Stored("manifest/fleet", manifest))
        assert await both.keys(Kind.NODE) == [["node/web2"], ["node/web2"]]
        assert await both.keys(Kind.MANIFEST) == [["manifest/fleet"], ["manifest/fleet"]]
        assert await both.keys(Kind.INVITE) == [["invite/i"], []]
        assert await both.keys(Kind.ANSWER) == [["answer/i"], []]
        assert both.feeds.has("node/web2")
        assert both.feeds.is_there("node/web2")
        await both.feeds.keep_only([], Kind.NODE)
        await both.feeds.delete(["manifest/fleet", "invite/i"])
        assert await both.keys(Kind.NODE) == [[], []]
        assert await both.keys(Kind.MANIFEST) == [[], []]
        assert await both.keys(Kind.INVITE) == [[], []]


@pytest.mark.parametrize("away", ["relay", "engine"])
async def test_one_that_is_away_delays_nothing(both: Both, clock: FakeClock, away: str) -> None:
    lost = both.relay if away == "relay" else both.engine
    lost.is_up = False
    async with both.running():
        await both.feeds.put(record(clock))
        assert both.feeds.is_there("node/web2")
        assert not both.feeds.failure
        assert both.feeds.outages == 1
        assert await both.feeds.wait_until_filled(seconds=10)
        lost.is_up = True
        await run_tasks_until(lambda: both.of_relay.filled.is_set() and both.of_engine.filled.is_set())
        assert await both.keys(Kind.NODE) == [["node/web2"], ["node/web2"]]


async def test_both_away_is_a_failure(both: Both, clock: FakeClock) -> None:
    both.relay.is_up = both.engine.is_up = False
    async with both.running():
        await both.feeds.put(record(clock))
        assert "Connection refused" in both.feeds.failure
        assert not both.feeds.is_there("node/web2")
        assert not await both.feeds.wait_until_filled(seconds=1)


async def test_refused_is_what_neither_has_room_for(clock: FakeClock) -> None:
    both = Both(clock, max_bytes=600)
    async with both.running():
        await both.feeds.put(record(clock))
        assert both.feeds.refusal("node/web2")
        both.engine.restart()
        await both.feeds.try_refused()
        assert both.feeds.refusal("node/web2") is None


@pytest.mark.parametrize("away", ["relay", "engine"])
async def test_what_one_refuses_while_the_other_is_away_is_refused(clock: FakeClock, away: str) -> None:
    both = Both(clock, max_bytes=600)
    (both.relay if away == "relay" else both.engine).is_up = False
    async with both.running():
        await both.feeds.put(record(clock))
        assert both.feeds.refusal("node/web2")
        assert both.feeds.refusal("node/web3") is None
