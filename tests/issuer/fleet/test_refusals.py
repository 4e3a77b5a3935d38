"""Records that a relay refuses although it answers: named once, without keeping the others waiting."""

import logging
from typing import Final

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.issuer.fleet.relays import FakeRelay
from tests.issuer.fleet.test_feed import running, wake
from tests.relay.messages import FLEET_KEY
from wellkeeper_client.records import Kind, Record
from wellkeeper_issuer.fleet.feed import Feed

# Room for two records with such a body.
SMALL: Final = 8 * 1024
TEXT: Final = "x" * 2000


@pytest.fixture
def relay(clock: FakeClock) -> FakeRelay:
    return FakeRelay(clock, SMALL)


@pytest.fixture
def feed(relay: FakeRelay, clock: FakeClock) -> Feed:
    return Feed(relay, FLEET_KEY, clock, {})


def record(clock: FakeClock, key: str) -> Record:
    now = int(clock.now().timestamp())
    return Record(key, 1, now, now + 600, {"text": TEXT})


async def test_full_relay_is_no_outage_and_its_refusals_are_named_once(
    feed: Feed, relay: FakeRelay, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(feed):
        await run_tasks_until(feed.filled.is_set)
        await feed.put(*(record(clock, f"bundle/{number}") for number in range(4)))
        assert (feed.failure, feed.filled.is_set()) == ("", True)
        puts = relay.puts
        await run_tasks_until(feed.filled.is_set)
        assert relay.puts == puts
        await feed.try_refused()
    assert await relay.keys(Kind.BUNDLE) == ["bundle/0", "bundle/1"]
    error = feed.refusal("bundle/2")
    assert error is not None
    [said] = [one.getMessage() for one in caplog.records]
    assert said == f"nodes do not get a record: {error} (1 more records were refused)"
    assert "cannot store bundle/2: no room for the record" in said


async def test_record_that_was_refused_is_stored_once_there_is_room(
    feed: Feed, relay: FakeRelay, clock: FakeClock
) -> None:
    keys = [f"bundle/{number}" for number in range(4)]
    async with running(feed):
        await feed.put(*(record(clock, key) for key in keys))
        await feed.keep_only([keys[2], keys[3]], Kind.BUNDLE)
        await feed.try_refused()
    assert await relay.keys(Kind.BUNDLE) == keys[2:]
    assert not any(map(feed.refusal, keys))


async def test_relay_that_restarted_is_asked_again(feed: Feed, relay: FakeRelay, clock: FakeClock) -> None:
    keys = [f"bundle/{number}" for number in range(3)]
    async with running(feed):
        await feed.put(*(record(clock, key) for key in keys))
        assert feed.refusal(keys[2]) is not None
        relay.is_up = False
        await wake(relay, clock)
        await run_tasks_until(lambda: bool(feed.failure))
        relay.restart()
        relay.is_up = True
        await run_tasks_until(lambda: not feed.failure and feed.filled.is_set())
    assert await relay.keys(Kind.BUNDLE) == keys
