"""The feed of a relay: what is wanted gets there, at once or later, and again after a restart."""

import asyncio
import logging
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.fleet import OTHER_FLEET_KEY
from tests.issuer.fleet.relays import FakeRelay
from tests.relay.messages import FLEET_KEY, FLEET_KEYS
from wellkeeper_client import records
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, Record
from wellkeeper_issuer.fleet.feed import Feed
from wellkeeper_node.errors import ConflictError, FleetError, UnavailableError
from wellkeeper_node.records.port import Update

LIFETIME: Final = 600


@pytest.fixture
def relay(clock: FakeClock) -> FakeRelay:
    return FakeRelay(clock)


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def feed(relay: FakeRelay, clock: FakeClock, heard: list[str]) -> Feed:
    return Feed(relay, FLEET_KEY, clock, {Kind.REPORT: lambda stored: heard.append(stored.key)})


def record(clock: FakeClock, key: str = "node/web2", number: int = 1, *, seconds: int = LIFETIME) -> Record:
    now = int(clock.now().timestamp())
    return Record(key, number, now, now + seconds, {"number": number})


@asynccontextmanager
async def running(feed: Feed) -> AsyncIterator[None]:
    task = asyncio.create_task(feed.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def numbers(relay: FakeRelay, clock: FakeClock, *keys: str) -> list[int]:
    """Return the numbers of the records that the relay has under these keys, 0 for none."""
    found = []
    for key in keys:
        stored = await relay.get(key)
        kind, now = records.kind_of(key), clock.now().timestamp()
        found.append(records.check(stored.value, FLEET_KEYS, kind, now).number if stored else 0)
    return found


async def test_record_is_signed_and_stored_at_once_even_before_the_feed_runs(
    feed: Feed, relay: FakeRelay, clock: FakeClock
) -> None:
    await feed.put(record(clock), record(clock, "wrap/web2/web"))
    assert await numbers(relay, clock, "node/web2", "wrap/web2/web") == [1, 1]
    assert feed.has("node/web2")
    assert feed.filled.is_set()


async def test_newer_record_replaces_the_older_one(feed: Feed, relay: FakeRelay, clock: FakeClock) -> None:
    for number in (1, 2, 2):
        await feed.put(record(clock, number=number))
    assert await numbers(relay, clock, "node/web2") == [2]
    assert relay.puts == 2


async def test_record_of_an_earlier_process_is_replaced(feed: Feed, relay: FakeRelay, clock: FakeClock) -> None:
    old = record(clock, number=7)
    await relay.put(old.key, records.sign(old, OTHER_FLEET_KEY).encode())
    await feed.put(record(clock, number=8))
    assert await numbers(relay, clock, "node/web2") == [8]


async def test_relay_that_restarted_is_filled_again(feed: Feed, relay: FakeRelay, clock: FakeClock) -> None:
    async with running(feed):
        await feed.put(record(clock), record(clock, "bundle/web"))
        await run_tasks_until(feed.filled.is_set)
        relay.is_up = False
        await wake(relay, clock)
        await run_tasks_until(lambda: bool(feed.failure))
        relay.restart()
        relay.is_up = True
        await run_tasks_until(lambda: not feed.failure and feed.filled.is_set())
    assert await numbers(relay, clock, "node/web2", "bundle/web") == [1, 1]


async def wake(relay: FakeRelay, clock: FakeClock) -> None:
    """Let followers notice that the relay is away."""
    was_up, relay.is_up = relay.is_up, True
    await relay.put("report/x", clock.now().isoformat().encode())
    relay.is_up = was_up


async def test_what_is_wanted_while_the_relay_is_away_gets_there_later(
    feed: Feed, relay: FakeRelay, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    relay.is_up = False
    async with running(feed):
        for number in (1, 2, 3):
            await feed.put(record(clock, number=number))
        await run_tasks_until(lambda: 5 in clock.slept)
        assert (max(clock.slept), feed.filled.is_set()) == (5, False)
        relay.is_up = True
        await run_tasks_until(feed.filled.is_set)
    assert await numbers(relay, clock, "node/web2") == [3]
    outage = "nodes get nothing new through the relay for now: cannot reach the relay: Connection refused."
    assert [one.getMessage().rstrip(".") for one in caplog.records] == [outage.rstrip("."), "the relay answers again"]


async def test_record_that_a_healthy_relay_did_not_take_is_stored_again(
    feed: Feed, relay: FakeRelay, clock: FakeClock
) -> None:
    async with running(feed):
        await run_tasks_until(feed.filled.is_set)
        relay.is_up = False
        await feed.put(record(clock), record(clock, "bundle/web"))
        assert feed.failure
        relay.is_up = True
        await run_tasks_until(feed.filled.is_set)
    assert await numbers(relay, clock, "node/web2", "bundle/web") == [1, 1]
    assert not feed.failure


async def test_first_record_that_is_stored_after_a_failure_brings_the_rest(
    feed: Feed, relay: FakeRelay, clock: FakeClock
) -> None:
    relay.is_up = False
    await feed.put(record(clock), record(clock, "bundle/web"))
    relay.is_up = True
    await feed.put(record(clock, "heartbeat/issuer"))
    assert await numbers(relay, clock, "node/web2", "bundle/web", "heartbeat/issuer") == [1, 1, 1]
    assert not feed.failure


async def test_wait_for_the_relay_ends_when_it_is_known_to_be_away(
    feed: Feed, relay: FakeRelay, clock: FakeClock
) -> None:
    relay.is_up = False
    await feed.put(record(clock))
    await feed.wait(seconds=10)
    assert clock.slept == []
    relay.is_up = True
    async with running(feed):
        await run_tasks_until(lambda: not feed.failure)
        await feed.wait_until_filled(seconds=10)
    assert feed.filled.is_set()


async def test_record_that_expired_meanwhile_is_not_stored(feed: Feed, relay: FakeRelay, clock: FakeClock) -> None:
    relay.is_up = False
    await feed.put(record(clock, "publication/jti", seconds=5))
    clock.advance(6)
    relay.is_up = True
    async with running(feed):
        await run_tasks_until(feed.filled.is_set)
    assert (await relay.keys(Kind.PUBLICATION), relay.puts) == ([], 0)


async def test_reports_are_passed_on(feed: Feed, relay: FakeRelay, heard: list[str]) -> None:
    async with running(feed):
        await relay.put("report/web2", b"1")
        await run_tasks_until(lambda: heard == ["report/web2"])


async def test_deleted_record_leaves_the_relay_and_does_not_come_back(
    feed: Feed, relay: FakeRelay, clock: FakeClock
) -> None:
    async with running(feed):
        await feed.put(record(clock), record(clock, "bundle/web"))
        await feed.delete(["node/web2", "node/never"])
        await run_tasks_until(feed.filled.is_set)
    assert (await relay.keys(Kind.NODE), await relay.keys(Kind.BUNDLE)) == ([], ["bundle/web"])


async def test_wanted_record_that_another_deleted_is_stored_again(
    feed: Feed, relay: FakeRelay, clock: FakeClock
) -> None:
    async with running(feed):
        await feed.put(record(clock))
        await run_tasks_until(feed.filled.is_set)
        stored = await relay.get("node/web2")
        assert stored is not None
        puts = relay.puts
        await relay.delete("node/web2", expected=stored.version)
        await run_tasks_until(lambda: relay.puts > puts)
    assert await numbers(relay, clock, "node/web2") == [1]


async def test_records_that_nothing_wants_any_more_are_deleted(feed: Feed, relay: FakeRelay, clock: FakeClock) -> None:
    for key in ("node/gone", "wrap/gone/web", "report/web2"):
        await relay.put(key, b"1")
    async with running(feed):
        await feed.put(record(clock))
        await run_tasks_until(feed.filled.is_set)
        await feed.keep_only(["node/web2"], Kind.NODE, Kind.WRAP)
    assert await relay.keys(Kind.NODE) == ["node/web2"]
    assert (await relay.keys(Kind.WRAP), await relay.keys(Kind.REPORT)) == ([], ["report/web2"])


async def test_record_that_changed_before_it_was_deleted_stays(feed: Feed, relay: FakeRelay, clock: FakeClock) -> None:
    await feed.put(record(clock))
    stored = await relay.get("node/web2")
    assert stored is not None
    await relay.put("node/web2", b"other", expected=stored.version)
    await feed.delete(["node/web2"])
    assert await relay.keys(Kind.NODE) == ["node/web2"]


async def test_relay_that_is_away_does_not_fail_a_deletion(feed: Feed, relay: FakeRelay, clock: FakeClock) -> None:
    await feed.put(record(clock))
    relay.is_up = False
    await feed.delete(["node/web2"])
    assert feed.failure


class Contrary(FakeRelay):
    """A relay that refuses every write; with `is_silent`, it does not say what it has."""

    is_silent = False

    async def put(self, key: str, *_: object, **__: object) -> str:
        raise ConflictError(f"cannot store {key}", "no reason")

    async def get(self, key: str) -> Stored | None:
        if self.is_silent:
            raise UnavailableError("cannot reach the relay")
        return Stored(key, b"other")


@pytest.mark.parametrize("is_silent", [False, True])
async def test_relay_that_refuses_every_write_is_not_asked_forever(clock: FakeClock, is_silent: bool) -> None:
    relay = Contrary(clock)
    relay.is_silent = is_silent
    feed = Feed(relay, FLEET_KEY, clock, {})
    await feed.put(record(clock))
    assert not feed.filled.is_set()


async def test_record_that_readers_would_refuse_is_refused(feed: Feed, clock: FakeClock) -> None:
    with pytest.raises(FleetError, match=r"cannot sign node/web2: .*'exp' - 'iat'"):
        await feed.put(record(clock, seconds=0))


async def test_nothing_to_send_is_not_taken_as_an_answer_of_the_relay(
    feed: Feed, relay: FakeRelay, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    relay.is_up = False
    async with running(feed):
        await feed.wait(seconds=1000.0)
        failure = feed.failure
        await feed.put()
        assert feed.failure == failure != ""
    assert "answers again" not in caplog.text


async def test_made_up_records_of_a_relay_take_bounded_memory(clock: FakeClock) -> None:
    class Endless(FakeRelay):
        async def follow(self, *_kinds: Kind) -> AsyncGenerator[Update, None]:
            yield Update((), (), is_snapshot=True, is_whole=True)
            for page in range(100):
                made_up = tuple(Stored(f"report/n{page}-{number}", b"x") for number in range(1000))
                yield Update(made_up, (), is_snapshot=False, is_whole=True)
            await asyncio.Event().wait()

    heard = 0

    def hear(_stored: Stored) -> None:
        nonlocal heard
        heard += 1

    endless = Feed(Endless(clock), FLEET_KEY, clock, {Kind.REPORT: hear})
    tracemalloc.start()
    try:
        async with running(endless):
            await run_tasks_until(lambda: heard == 100_000)
            assert tracemalloc.get_traced_memory()[0] < 10_000_000
            await endless.put(record(clock))
            assert endless.filled.is_set()
    finally:
        tracemalloc.stop()
