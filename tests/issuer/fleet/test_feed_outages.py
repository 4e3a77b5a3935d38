"""The feed of a relay that is away for a while: what is deleted then, and who waits for it."""

import asyncio

from tests.fakes import FakeClock, run_tasks_until
from tests.issuer.fleet.relays import FakeRelay
from tests.issuer.fleet.test_feed import feed, heard, record, relay, running
from wellkeeper_client.records import Kind
from wellkeeper_issuer.fleet.feed import Feed

__all__ = ["feed", "heard", "relay"]


async def test_record_of_a_removed_node_is_deleted_once_the_relay_answers_again(
    feed: Feed, relay: FakeRelay, clock: FakeClock
) -> None:
    await feed.put(record(clock), record(clock, "wrap/web2/web"), record(clock, "node/web3"))
    async with running(feed):
        await run_tasks_until(feed.filled.is_set)
        relay.is_up = False
        await feed.keep_only(["node/web3"], Kind.NODE, Kind.WRAP)
        assert feed.failure
        relay.is_up = True
        await run_tasks_until(lambda: not feed.failure)
    assert (await relay.keys(Kind.NODE), await relay.keys(Kind.WRAP)) == (["node/web3"], [])


async def test_record_of_a_node_that_was_removed_before_the_relay_answered_is_deleted(
    feed: Feed, relay: FakeRelay, clock: FakeClock
) -> None:
    await relay.put("node/gone", b"1")
    await feed.keep_only([], Kind.NODE)
    await feed.put(record(clock))
    async with running(feed):
        await run_tasks_until(lambda: feed.heard.is_set() and feed.filled.is_set())
    assert await relay.keys(Kind.NODE) == ["node/web2"]


async def test_relay_that_is_away_is_waited_for_while_it_lacks_something(
    relay: FakeRelay, feed: Feed, clock: FakeClock
) -> None:
    relay.is_up = False
    await feed.put(record(clock))
    await feed.wait(seconds=10)
    assert clock.slept == []
    assert not await feed.wait_until_filled(seconds=10)
    assert clock.slept == [10]


async def test_record_is_stored_although_the_one_who_waited_for_a_relay_that_hangs_gave_up(
    relay: FakeRelay, feed: Feed, clock: FakeClock
) -> None:
    async with running(feed):
        await run_tasks_until(feed.filled.is_set)
        relay.hangs = True
        putting = asyncio.create_task(feed.put(record(clock)))
        await run_tasks_until(lambda: relay.puts > 0)
        putting.cancel()
        await asyncio.wait([putting])
        relay.hangs = False
        await run_tasks_until(feed.filled.is_set)
    assert await relay.keys(Kind.NODE) == ["node/web2"]
