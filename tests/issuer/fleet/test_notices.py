"""Notices about nodes: once each, kept on disk, and sent again when a webhook did not take them."""

import os

import pytest

from tests.fakes import FakeClock
from tests.fakes_around import FakeNotifications
from tests.fakes_state import FakeNotes
from tests.issuer.fleet.played import Played
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_issuer.fleet.notices import NodeNotices
from wellkeeper_issuer.records import Notice
from wellkeeper_node.agent.report import CertificateState


class Notified:
    """A fleet of one node, and what the administrator was sent."""

    def __init__(self, played: Played, fleet: Fleet, clock: FakeClock) -> None:
        self.played, self.fleet, self.clock = played, fleet, clock
        self.notifications, self.notes = FakeNotifications(), FakeNotes()

    async def notices(self) -> list[tuple[Notice, str]]:
        """Return what is sent now, by a process that has just started, and what it says."""
        self.notifications.reported.clear()
        self.notifications.details.clear()
        bundles = self.fleet.distribution.disk.bundles
        await NodeNotices(self.notes, self.notifications, bundles, self.clock).notify(self.fleet)
        assert {node for _, node in self.notifications.reported} <= {"web2"}
        notices = [notice for notice, _ in self.notifications.reported]
        return list(zip(notices, self.notifications.details, strict=True))

    async def report(self, state: CertificateState) -> None:
        await self.played.report(self.played.web2, state, 1)
        stored = await self.played.relay.get("report/web2")
        assert stored is not None
        self.fleet.reports.take(stored)


@pytest.fixture
async def notified(played: Played, clock: FakeClock) -> Notified:
    await played.records.forget_node("web3")
    fleet = await played.open()
    await fleet.beat()
    at = clock.now().timestamp()
    os.utime(played.folder / "state/bundles/web.json", (at, at))
    return Notified(played, fleet, clock)


async def test_node_that_is_away_is_reported_once_and_so_is_its_return(notified: Notified, clock: FakeClock) -> None:
    assert await notified.notices() == []
    clock.advance(16 * 60)
    assert await notified.notices() == [(Notice.BEHIND, "it has never reported")]
    assert await notified.notices() == []
    await notified.report(CertificateState.SERVED)
    assert await notified.notices() == [(Notice.CAUGHT_UP, "it has everything again")]
    assert await notified.notices() == []


async def test_node_that_has_everything_for_the_first_time_is_reported_once(notified: Notified) -> None:
    await notified.report(CertificateState.WAITING)
    assert await notified.notices() == []
    await notified.report(CertificateState.SERVED)
    assert await notified.notices() == [(Notice.CAUGHT_UP, "it has everything: 1 certificate")]
    await notified.report(CertificateState.WAITING)
    await notified.report(CertificateState.SERVED)
    assert await notified.notices() == []


async def test_notices_about_a_removed_node_are_forgotten(notified: Notified, clock: FakeClock) -> None:
    clock.advance(16 * 60)
    await notified.notices()
    nodes, notified.fleet.nodes = notified.fleet.nodes, {}
    await notified.notes.record_notice("web", Notice.FAILURE)
    assert await notified.notices() == []
    assert await notified.notes.read_notices() == {"web": {Notice.FAILURE}}
    notified.fleet.nodes = nodes
    assert await notified.notices() == [(Notice.BEHIND, "it has never reported")]


async def test_notice_that_was_not_delivered_is_sent_again(notified: Notified, clock: FakeClock) -> None:
    clock.advance(16 * 60)
    notified.notifications.is_away = True
    assert await notified.notices() == []
    notified.notifications.is_away = False
    assert [notice for notice, _ in await notified.notices()] == [Notice.BEHIND]


async def test_node_that_lacks_a_certificate_for_an_hour_is_reported_with_its_words(
    notified: Notified, clock: FakeClock
) -> None:
    clock.advance(61 * 60)
    await notified.report(CertificateState.REFUSED)
    ((notice, detail),) = await notified.notices()
    assert notice is Notice.BEHIND
    assert detail.startswith("web has been behind since ")
    assert detail.endswith(": refused")
