"""A fleet with an engine beside its relay, in memory: both have everything, and nodes the access to the engine."""

import asyncio
import logging
from dataclasses import replace

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.issuer.fleet.played import Played, running
from tests.issuer.fleet.relays import FakeRelay
from tests.relay.messages import FLEET_KEYS
from wellkeeper_client import records
from wellkeeper_client.fleet_bodies import NodeBody, parse_node
from wellkeeper_client.records import Kind
from wellkeeper_issuer.errors import DeferredError
from wellkeeper_issuer.fleet.distribution import node_record
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_issuer.fleet.lease import SECONDS, LeasedRecords
from wellkeeper_issuer.fleet.seals import Seals
from wellkeeper_node.bundles.engine_access import EngineAccess, open_access
from wellkeeper_node.errors import FleetError

ACCESS = EngineAccess("redis://10.0.0.9:6379", "wellkeeper-node", "secret")


async def body(store: FakeRelay, node: str) -> NodeBody:
    stored = await store.get(f"node/{node}")
    assert stored
    return parse_node(records.read(stored.value, FLEET_KEYS, Kind.NODE).body)


def is_filled(fleet: Fleet) -> bool:
    return fleet.feed.has("manifest/fleet") and all(one.filled.is_set() for one in fleet.feeds)


async def test_both_have_everything_and_nodes_the_access(played: Played, clock: FakeClock) -> None:
    engine = FakeRelay(clock)
    leased = LeasedRecords(engine, "issuer", clock)
    leasing = asyncio.create_task(leased.run())
    await leased.wait()
    fleet = await played.open(engine=leased, access=ACCESS)
    async with running(fleet):
        await run_tasks_until(lambda: is_filled(fleet))
        for kind in (Kind.NODE, Kind.WRAP, Kind.BUNDLE, Kind.MANIFEST):
            assert await played.relay.keys(kind) == await engine.keys(kind) != []
        for store in (played.relay, engine):
            assert open_access((await body(store, "web2")).engine, "web2", played.web2.sealing_key) == ACCESS
        before = await engine.get("node/web2")
        await fleet.refresh()
        assert await engine.get("node/web2") == before  # it is not sealed again
    leasing.cancel()
    await asyncio.wait([leasing])


async def test_news_of_the_engine_count_while_the_relay_is_away(played: Played, clock: FakeClock) -> None:
    fleet = await played.open(engine=LeasedRecords(FakeRelay(clock), "issuer", clock), access=ACCESS)
    relay, engine = fleet.feeds
    assert fleet.feed.heard is relay.heard
    relay.failure = "no answer"
    assert fleet.feed.heard is engine.heard


async def test_nodes_of_a_fleet_without_an_engine_get_no_access(played: Played) -> None:
    fleet = await played.open()
    async with running(fleet):
        await run_tasks_until(lambda: is_filled(fleet))
    assert (await body(played.relay, "web2")).engine == ""


async def test_issuer_waits_until_the_other_one_ends(clock: FakeClock) -> None:
    engine = FakeRelay(clock)
    lease = await engine.acquire("another", 60)
    assert lease
    leased = LeasedRecords(engine, "issuer", clock)
    leasing = asyncio.create_task(leased.run())
    waiting = asyncio.create_task(leased.until_free())
    await run_tasks_until(lambda: leased.is_taken and len(clock.slept) > 5)
    assert not waiting.done()
    await engine.extend(lease, 0)
    await waiting
    assert leased.is_held
    leasing.cancel()
    await asyncio.wait([leasing])


async def test_issuer_that_was_paused_writes_and_orders_nothing_once_another_has_the_lease(
    played: Played, clock: FakeClock
) -> None:
    engine = FakeRelay(clock)
    leased = LeasedRecords(engine, "issuer", clock)
    leasing = asyncio.create_task(leased.run())
    fleet = await played.open(engine=leased)
    async with running(fleet):
        await run_tasks_until(lambda: is_filled(fleet))
        await fleet.others.check()
        before = [await store.keys(kind) for store in (played.relay, engine) for kind in Kind]
        number = fleet.distribution.listed["web"].version.number
        clock.advance(SECONDS)
        assert await engine.acquire("web2", SECONDS)
        await played.install()
        await fleet.distribution.offer("web")
        await fleet.refresh()
        await fleet.roll_outs.stop_wrong()
        with pytest.raises(DeferredError, match="another issuer holds the engine's lease"):
            await fleet.others.check()
        await fleet.feed.put(node_record("web9", played.web2.body, int(clock.now().timestamp())))
        assert [await store.keys(kind) for store in (played.relay, engine) for kind in Kind] == before
        assert fleet.distribution.listed["web"].version.number == number
        assert fleet.feed.failure
    leasing.cancel()
    await asyncio.wait([leasing])


def test_key_to_which_nothing_can_be_sealed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert Seals(replace(ACCESS, user="other")).of("web9", "AA") == ""
    assert "node 'web9' does not get the access to the engine" in caplog.text


async def test_what_could_not_be_signed_beside_an_access_that_is_too_long_is_sent_later(played: Played) -> None:
    await played.install()
    body = played.nodes["web2"]
    played.nodes["web2"] = replace(body, engine="x" * 100_000)
    with pytest.raises(FleetError):
        await played.distribution.refresh(["web"])
    played.nodes["web2"] = body
    await played.distribution.refresh(["web"])
    assert await played.relay.keys(Kind.WRAP) == ["wrap/web2/web", "wrap/web3/web"]
