"""Two issuers of one fleet: both say so, and the older one orders and lists nothing while the newer one is active."""

import logging

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.fakes_around import FakeNotifications
from tests.fakes_state import FakeNotes
from tests.issuer.fleet.played import Played
from tests.issuer.fleet.relays import FakeRelay
from tests.issuer.fleet.test_lease import running as leasing
from tests.relay.messages import FLEET_KEY, STRANGER_KEY
from wellkeeper_client import records
from wellkeeper_client.heartbeats import KEY as HEARTBEAT
from wellkeeper_client.heartbeats import Heartbeat, IssuerId
from wellkeeper_client.records import Kind
from wellkeeper_issuer.errors import DeferredError
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_issuer.fleet.lease import SECONDS, LeasedRecords
from wellkeeper_issuer.fleet.notices import NodeNotices
from wellkeeper_issuer.records import Notice
from wellkeeper_node.agent.report import CertificateReport, CertificateState
from wellkeeper_node.errors import LeaseLostError

WORDS = "several issuers feed this fleet: "


class Pair:
    """A fleet of this issuer, and another one that only sends heartbeats, through web2 or the same relay."""

    def __init__(self, played: Played, fleet: Fleet, clock: FakeClock) -> None:
        self.played, self.fleet, self.clock = played, fleet, clock
        self.since = int(clock.now().timestamp())

    def beat(self, *, is_newer: bool, age: int = 0) -> str:
        since = self.since + (100 if is_newer else -100)
        heartbeat = Heartbeat(IssuerId("b" * 22, "web9", since), int(self.clock.now().timestamp()) - age)
        return records.sign(heartbeat.to_record(), FLEET_KEY)

    async def report(self, *heartbeats: str) -> None:
        await self.played.web2.say(heartbeats=heartbeats)
        stored = await self.played.relay.get(f"{Kind.REPORT}/web2")
        assert stored is not None
        self.fleet.reports.take(stored)

    async def listed(self) -> list[str]:
        return await self.played.relay.keys(Kind.MANIFEST)


@pytest.fixture
async def pair(played: Played, clock: FakeClock) -> Pair:
    clock.advance(1000)
    played.own = IssuerId("a" * 22, "web1", int(clock.now().timestamp()))
    found = Pair(played, await played.open(), clock)
    clock.advance(1000)
    return found


async def test_newer_issuer_is_named_and_this_one_orders_and_lists_nothing(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    await pair.report(pair.beat(is_newer=True))
    await pair.fleet.beat()
    await pair.fleet.beat()
    assert await pair.listed() == []
    assert await pair.played.relay.get(HEARTBEAT) is not None
    (line,) = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert line.startswith(
        f"{WORDS}web1 (aaaaaaaa) and web9 (bbbbbbbb); stop all but web9 (bbbbbbbb), the issuer since "
    )
    with pytest.raises(DeferredError) as caught:
        await pair.fleet.others.check()
    assert caught.value.retry_at is not None
    assert (caught.value.retry_at - pair.clock.now()).total_seconds() == 300
    assert caught.value.why == line


async def test_replaced_issuer_offers_nothing_and_stops_no_roll_out(pair: Pair) -> None:
    await pair.report(pair.beat(is_newer=True))
    await pair.fleet.distribution.offer("web")
    assert await pair.listed() == []
    pair.clock.advance(301)
    await pair.fleet.beat()
    version = await pair.played.install()
    await pair.fleet.distribution.offer("web")
    for node in (pair.played.web2, pair.played.web3):
        wrong = {"web": CertificateReport(2, "ab" * 32, CertificateState.WRONG)}
        await node.say(certificates=wrong, heartbeats=(pair.beat(is_newer=True),))
        stored = await pair.played.relay.get(f"{Kind.REPORT}/{node.name}")
        assert stored is not None
        pair.fleet.reports.take(stored)
    await pair.fleet.roll_outs.stop_wrong()
    assert await pair.played.listed() == (2, version)


async def test_issuer_continues_once_the_newer_one_is_silent(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await pair.report(pair.beat(is_newer=True))
    await pair.fleet.beat()
    pair.clock.advance(301)
    await pair.fleet.beat()
    assert await pair.listed() == ["manifest/fleet"]
    assert "no other issuer feeds this fleet now" in caplog.text
    await pair.fleet.others.check()


async def test_older_issuer_is_named_and_this_one_continues(pair: Pair) -> None:
    await pair.report(pair.beat(is_newer=False))
    assert "stop all but web1 (aaaaaaaa), the issuer since" in pair.fleet.others.warning
    await pair.fleet.others.check()
    await pair.fleet.beat()
    assert await pair.listed() == ["manifest/fleet"]


async def test_last_heartbeat_before_a_promotion_is_not_another_issuer(pair: Pair) -> None:
    pair.clock.advance(-900)
    await pair.report(pair.beat(is_newer=False, age=101))
    assert pair.fleet.others.warning == ""


async def test_issuer_at_the_same_relay_is_noticed(pair: Pair) -> None:
    await pair.played.relay.put(HEARTBEAT, pair.beat(is_newer=True).encode())
    stored = await pair.played.relay.get(HEARTBEAT)
    assert stored is not None
    pair.fleet.others.hear(stored)
    assert pair.fleet.others.is_replaced


async def test_node_cannot_make_up_an_issuer(pair: Pair) -> None:
    heartbeat = Heartbeat(IssuerId("b" * 22, "web9", pair.since + 9), int(pair.clock.now().timestamp()))
    await pair.report(records.sign(heartbeat.to_record(), STRANGER_KEY), "junk")
    assert pair.fleet.others.warning == ""
    await pair.fleet.others.check()


async def test_first_order_waits_for_reports_but_not_for_long(pair: Pair) -> None:
    before = pair.clock.monotonic()
    await pair.fleet.others.check()
    assert pair.clock.monotonic() - before == pytest.approx(10, abs=1)
    await pair.fleet.others.check()
    assert pair.clock.monotonic() - before == pytest.approx(10, abs=1)


async def test_administrator_is_notified_once_and_again_after_a_failure(pair: Pair) -> None:
    notifications, notes = FakeNotifications(), FakeNotes()
    notices = NodeNotices(notes, notifications, pair.fleet.distribution.disk.bundles, pair.clock)
    await pair.report(pair.beat(is_newer=True))
    notifications.is_away = True
    await notices.notify(pair.fleet)
    notifications.is_away = False
    notifications.reported.clear()
    for _ in range(2):
        await notices.notify(pair.fleet)
    assert [notice for notice, _ in notifications.reported].count(Notice.FINDING) == 1
    pair.clock.advance(301)
    await notices.notify(pair.fleet)
    assert Notice.FINDING not in {notice for some in (await notes.read_notices()).values() for notice in some}


async def test_older_issuer_leaves_the_lease_to_the_newer_one_that_starts_again(pair: Pair, clock: FakeClock) -> None:
    engine = FakeRelay(clock)
    lease = await engine.acquire("b", SECONDS)
    assert lease
    leased = LeasedRecords(engine, "a", clock)
    pair.fleet = await pair.played.open(engine=leased)
    await pair.report(pair.beat(is_newer=True))
    async with leasing(leased):
        count = len(clock.slept)
        await engine.extend(lease, 0)
        await run_tasks_until(lambda: len(clock.slept) > count + 3)
        assert await engine.holder() is None
        assert pair.fleet.others.is_replaced
        clock.advance(301)
        await run_tasks_until(lambda: leased.is_held)
        assert not pair.fleet.others.is_replaced


async def test_older_issuer_that_hears_a_newer_one_gives_the_lease_back(pair: Pair, clock: FakeClock) -> None:
    engine = FakeRelay(clock)
    leased = LeasedRecords(engine, "a", clock)
    pair.fleet = await pair.played.open(engine=leased)
    async with leasing(leased):
        assert leased.is_held
        await pair.report(pair.beat(is_newer=True))
        await run_tasks_until(lambda: not leased.is_held)
        with pytest.raises(LeaseLostError, match="within five if it is the older one"):
            await leased.put("node/web2", b"")
        assert await engine.acquire("b", SECONDS)
