"""Ephemeral nodes: one that is gone blocks no order and needs no person; after a day it is forgotten."""

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes import FakeClock
from tests.fakes_around import FakeNotifications
from tests.fakes_deliver import NOW, dns
from tests.fakes_state import FakeNotes
from tests.issuer.fleet.played import Played
from tests.issuer.fleet.relays import FakeRelay
from tests.issuer.fleet.test_node_status import NODE, REPORT, seen, status_of
from tests.responder.messages import THUMBPRINT, TOKEN
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_issuer.fleet.forgetting import Forgetting
from wellkeeper_issuer.fleet.lease import LeasedRecords
from wellkeeper_issuer.fleet.notices import NodeNotices
from wellkeeper_issuer.records import Notice
from wellkeeper_node.agent.report import CertificateState
from wellkeeper_node.happened import Happened, What
from wellkeeper_node.model import Answer

ANSWER = Answer(TOKEN, THUMBPRINT, dns("a.example"))
EPHEMERAL = replace(NODE, is_ephemeral=True)
DAY = 86_400


class Group:
    """A fleet with web2, which is ephemeral, and web3, which is not unless `all_vanish`."""

    def __init__(self, played: Played, clock: FakeClock) -> None:
        self.played, self.clock, self.notifications = played, clock, FakeNotifications()
        self.forgetting = Forgetting(played.records, self.notifications, clock, played.history)

    async def open(self, *ephemeral: str) -> Fleet:
        nodes = await self.played.records.read_nodes()
        for name in ephemeral:
            await self.played.records.record_node(replace(nodes[name], is_ephemeral=True))
        self.fleet = await self.played.open()
        self.fleet.feed.heard.set()
        return self.fleet

    async def blocking(self) -> list[tuple[str, str | None]]:
        return [(one.node, one.cause) for one in await self.fleet.responder.failures([ANSWER])]

    async def hear(self, follows: tuple[str, ...] = ()) -> None:
        """Let web2 report."""
        await self.played.web2.say(follows=follows)
        await self.played.report(self.played.web2, CertificateState.SERVED, 1)
        stored = await self.played.relay.get("report/web2")
        assert stored is not None
        self.fleet.reports.take(stored)

    async def forget(self, seconds: float = 0) -> list[str]:
        """Do what a beat after this time does, and return the nodes that are left."""
        self.clock.advance(seconds)
        await self.forgetting.forget(self.fleet)
        self.fleet.nodes = await self.played.records.read_nodes()
        return sorted(self.fleet.nodes)


@pytest.fixture
def group(played: Played, clock: FakeClock) -> Group:
    return Group(played, clock)


async def test_ephemeral_node_blocks_no_order_once_it_is_unseen_for_fifteen_minutes(
    group: Group, clock: FakeClock
) -> None:
    await group.open("web2")
    assert [name for name, _ in await group.blocking()] == ["web2", "web3"]
    clock.advance(15 * 60 + 1)
    assert [name for name, _ in await group.blocking()] == ["web3"]
    await group.hear()
    assert [name for name, _ in await group.blocking()] == ["web2", "web3"]


async def test_outage_of_the_relay_makes_no_node_gone(group: Group, clock: FakeClock) -> None:
    await group.open("web2")
    clock.advance(16 * 60)
    group.fleet.feeds[0].failure = "cannot reach the relay"
    assert [name for name, _ in await group.blocking()] == ["web2", "web3"]


@pytest.mark.parametrize(
    ("follows", "failure", "blocking"),
    [
        (("relay", "engine"), "", ["web3"]),
        (("relay", "engine"), "cannot reach the engine", ["web2", "web3"]),
        (("relay",), "", ["web2", "web3"]),
    ],
    ids=["seen through the engine", "engine away, too", "seen through the relay only"],
)
async def test_node_is_gone_during_an_outage_of_the_relay_if_the_engine_would_show_it(
    group: Group, clock: FakeClock, follows: tuple[str, ...], failure: str, blocking: list[str]
) -> None:
    await group.open("web2")
    fleet = group.fleet = await group.played.open(engine=LeasedRecords(FakeRelay(clock), "issuer", clock))
    fleet.feeds[0].failure, fleet.feeds[1].failure = "cannot reach the relay", failure
    await group.hear(follows=follows)
    clock.advance(15 * 60 + 1)
    assert [name for name, _ in await group.blocking()] == blocking


async def test_ca_is_not_asked_when_all_nodes_that_could_answer_are_gone(group: Group, clock: FakeClock) -> None:
    group.played.has_others = False
    await group.open("web2", "web3")
    clock.advance(16 * 60)
    ((node, cause),) = await group.blocking()
    assert node == "none"
    assert cause is not None
    assert cause.startswith("all nodes that answer challenges are gone")


def test_status_of_a_node_that_is_gone_says_so_and_is_no_problem() -> None:
    now = NOW + timedelta(hours=2)
    for found, node, behind in ((seen(), EPHEMERAL, 0), (None, EPHEMERAL, 2)):
        status = status_of(found, node)
        assert len(status.behind) == behind
        assert status.problem(now) == ""
        assert status.absence(now) == (
            f"not seen since {NOW:%Y-%m-%d %H:%M} UTC: orders do not wait for it,"
            f" and it is removed after {NOW + timedelta(days=1):%Y-%m-%d %H:%M} UTC"
        )
        assert status.absence(NOW + timedelta(minutes=15)) == ""
    assert status_of(seen()).absence(now) == ""


def test_ephemeral_node_that_is_there_has_the_problems_of_others() -> None:
    late = replace(seen(replace(REPORT, certificates={})), at=NOW + timedelta(hours=2))
    assert "has been behind since" in status_of(late, EPHEMERAL).problem(NOW + timedelta(hours=2))


async def test_no_notice_says_that_a_node_that_is_gone_has_caught_up(group: Group, clock: FakeClock) -> None:
    fleet = await group.open("web2", "web3")
    await fleet.beat()
    notes = FakeNotes()
    await notes.record_notice("node/web2", Notice.BEHIND)
    clock.advance(16 * 60)
    await NodeNotices(notes, group.notifications, fleet.distribution.disk.bundles, clock).notify(fleet)
    assert group.notifications.reported == []


async def test_ephemeral_node_is_forgotten_after_a_day_and_others_are_not(
    group: Group, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await group.open("web2")
    await group.hear()
    since = f"{group.clock.now():%Y-%m-%d %H:%M} UTC"
    assert await group.forget(DAY) == ["web2", "web3"]
    assert await group.forget(60) == ["web2", "web3"]
    assert await group.forget(900) == ["web3"]
    detail = f"it is ephemeral, and was not seen since {since}"
    assert f"node 'web2' was removed: {detail}" in caplog.text
    assert group.notifications.reported == [(Notice.FORGOTTEN, "web2")]
    assert group.notifications.details == [detail]
    assert group.played.history.happened == [Happened(What.NODE_REMOVED, "web2", {"unseen_since": since})]
    assert await group.forget(DAY) == ["web3"]


async def test_node_that_reports_after_a_long_silence_of_the_issuer_stays(group: Group) -> None:
    await group.open("web2")
    assert await group.forget(2 * DAY) == ["web2", "web3"]
    await group.hear()
    for _ in range(3):
        assert await group.forget(900) == ["web2", "web3"]


@pytest.mark.parametrize("is_back", [False, True], ids=["away", "back"])
async def test_time_during_an_outage_of_the_relay_does_not_count(group: Group, *, is_back: bool) -> None:
    fleet = await group.open("web2")
    await group.forget(2 * DAY)
    fleet.feeds[0].failure, fleet.feeds[0].outages = "" if is_back else "no answer", 1
    assert await group.forget(1000) == ["web2", "web3"]
    fleet.feeds[0].failure = ""
    assert await group.forget(60) == ["web2", "web3"]
    assert await group.forget(900) == ["web3"]


async def test_node_is_not_forgotten_while_only_the_relay_is_away(group: Group, clock: FakeClock) -> None:
    await group.open("web2")
    fleet = group.fleet = await group.played.open(engine=LeasedRecords(FakeRelay(clock), "issuer", clock))
    for feed in fleet.feeds:
        feed.heard.set()
    fleet.feeds[0].failure = "no answer"
    for _ in range(3):
        assert await group.forget(DAY) == ["web2", "web3"]
    fleet.feeds[0].failure = ""
    assert await group.forget(60) == ["web2", "web3"]
    assert await group.forget(900) == ["web3"]


async def test_webhook_that_fails_keeps_no_node(group: Group, caplog: pytest.LogCaptureFixture) -> None:
    await group.open("web2")
    group.notifications.is_away = True
    await group.forget(2 * DAY)
    assert await group.forget(900) == ["web3"]
    assert "the forgotten of web2: it is ephemeral" in caplog.text


class SlowWebhook(FakeNotifications):
    """Takes no notice before it has been asked to take `number` of them."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.all_came = asyncio.Barrier(number)

    async def send(self, notice: Notice, lineage: str, detail: str) -> None:
        await self.all_came.wait()
        await super().send(notice, lineage, detail)


async def test_slow_webhook_holds_the_fleet_up_once_and_not_once_per_node(group: Group) -> None:
    await group.open("web2", "web3")
    group.forgetting.notifications = webhook = SlowWebhook(2)
    await group.forget(2 * DAY)
    async with asyncio.timeout(30):
        assert await group.forget(900) == []
    assert sorted(webhook.reported) == [(Notice.FORGOTTEN, "web2"), (Notice.FORGOTTEN, "web3")]


class CountingWebhook(FakeNotifications):
    """Counts the notices that are on their way; `most` at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0

    async def send(self, notice: Notice, lineage: str, detail: str) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        await super().send(notice, lineage, detail)
        self.now -= 1


async def test_notices_of_a_large_group_do_not_use_up_the_open_files(group: Group) -> None:
    node = replace((await group.played.records.read_nodes())["web2"], is_ephemeral=True)
    for number in range(150):
        await group.played.records.record_node(replace(node, name=f"auto{number}"))
    await group.open()
    group.forgetting.notifications = webhook = CountingWebhook()
    await group.forget(2 * DAY)
    assert await group.forget(900) == ["web2", "web3"]
    assert webhook.most == 100


async def test_each_beat_forgets(played: Played) -> None:
    asked: list[Fleet] = []

    async def forget(fleet: Fleet) -> None:
        asked.append(fleet)

    fleet = await played.open(forget=forget)
    await fleet.beat()
    assert asked == [fleet]
