"""The issuer's side of a fleet: heartbeat, reports on disk, nodes that join, roll-outs that are stopped."""

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.fakes_fleet import FakeFleet
from tests.issuer.fleet.played import Played, running
from tests.issuer.fleet.test_joins import KEY, OPEN, Notes
from tests.joins import INVITE, request
from wellkeeper_client.records import Kind
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_issuer.fleet.joins import Joins
from wellkeeper_issuer.ports.fleet import NodeReport
from wellkeeper_node.agent.report import CertificateState


async def test_each_minute_brings_a_heartbeat(played: Played, clock: FakeClock) -> None:
    fleet = await played.open()
    for _ in range(2):
        await fleet.beat()
        assert (await played.record("heartbeat/issuer")).number == int(clock.now().timestamp())
        clock.advance(60)


async def test_running_fleet_sends_everything_to_nodes(played: Played) -> None:
    fleet = await played.open()
    async with running(fleet):
        await run_tasks_until(lambda: fleet.feed.has("manifest/fleet") and fleet.feeds[0].filled.is_set())
    for node in (played.web2, played.web3):
        assert (await played.opened(node)).lineage == "web"


async def test_node_that_joined_gets_everything_with_the_next_beat(played: Played) -> None:
    await played.records.forget_node("web3")
    fleet = await played.open()
    await fleet.beat()
    await played.join(played.web3)
    await fleet.beat()
    assert await played.relay.keys(Kind.NODE) == ["node/web2", "node/web3"]
    await played.records.forget_node("web2")
    await fleet.beat()
    assert await played.relay.keys(Kind.NODE) == ["node/web3"]


async def test_changed_settings_reach_the_nodes_at_once(played: Played) -> None:
    await played.install("mail")
    fleet = await played.open()
    async with running(fleet):
        await run_tasks_until(lambda: fleet.feed.has("manifest/fleet") and fleet.feeds[0].filled.is_set())
        fleet.serve(["web", "mail"])
        await run_tasks_until(lambda: len(fleet.distribution.listed) == 2)
        await fleet.refresh()  # after the one that is under way
        assert (await played.opened(played.web2, "mail")).lineage == "mail"
        fleet.serve(["mail"])
        await run_tasks_until(lambda: not fleet.feed.has("bundle/web"))
        assert set(fleet.distribution.listed) == {"mail"}


async def test_all_is_refreshed_each_hour(played: Played, clock: FakeClock) -> None:
    fleet = await played.open()
    await fleet.beat()
    second = await played.install()
    clock.advance(3599)
    await fleet.beat()
    assert (await played.listed())[0] == 1
    clock.advance(1)
    await fleet.beat()
    assert await played.listed() == (2, second)


async def test_certificate_that_joined_the_settings_is_sent_with_the_next_beat(played: Played) -> None:
    fleet = await played.open()
    await fleet.beat()
    await played.install("mail")
    fleet.serve(["mail", "web"])
    await fleet.beat()
    assert set((await played.manifest()).lineages) == {"mail", "web"}


async def test_settings_that_change_during_a_refresh_are_sent_with_the_next_beat(played: Played) -> None:
    await played.install("mail")
    fleet = await played.open()
    refreshing = asyncio.create_task(fleet.refresh())
    await asyncio.sleep(0)
    fleet.serve(["mail", "web"])
    await refreshing
    await fleet.beat()
    assert set((await played.manifest()).lineages) == {"mail", "web"}


async def test_refresh_that_failed_is_repeated_with_the_next_beat(
    played: Played, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = played.folder / "manifest.jws"
    manifest.mkdir()
    fleet = await played.open()
    await fleet.beat()
    assert str(manifest) in caplog.text
    manifest.rmdir()
    await fleet.beat()
    assert set((await played.manifest()).lineages) == {"web"}


async def test_reports_survive_a_restart_and_are_not_taken_twice(played: Played, clock: FakeClock) -> None:
    fleet = await played.open()
    fleet.reports.take(played.web2.signed(5))
    fleet.reports.take(played.web3.signed(6))
    for _ in range(2):
        await fleet.beat()
    recorded = await played.records.read_reports()
    assert {name: one.number for name, one in recorded.items()} == {"web2": 5, "web3": 6}
    clock.advance(100)
    again = await played.open()
    again.reports.take(played.web2.signed(5))
    assert again.reports.last == fleet.reports.last


class BetweenBeats(FakeClock):
    """A clock on which the next beat is never due: only what sleeps for some seconds wakes up."""

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if seconds > 10:
            await asyncio.Event().wait()


async def test_reports_are_on_disk_together_before_the_next_beat(folder: Path) -> None:
    written: list[set[str]] = []

    class Listed(FakeFleet):
        async def record_reports(self, *reports: NodeReport) -> None:
            written.append({one.node for one in reports})

    played = Played(folder, BetweenBeats())
    played.records = Listed()
    await played.install()
    for node in (played.web2, played.web3):
        await played.join(node)
    await played.records.wait_for_change()
    fleet = await played.open()
    async with running(fleet):
        await run_tasks_until(lambda: 60.0 in played.clock.slept)
        written.clear()
        fleet.reports.take(played.web2.signed(5))
        fleet.reports.take(played.web3.signed(6))
        await run_tasks_until(lambda: bool(written))
    assert written == [{"web2", "web3"}]


async def test_failed_beat_is_logged_and_the_next_one_succeeds(
    played: Played, caplog: pytest.LogCaptureFixture
) -> None:
    class Damaged(FakeFleet):
        async def record_reports(self, *_: NodeReport) -> None:
            raise JournalError("cannot write the state", "disk full")

    played.records, working = Damaged(), played.records
    await played.join(played.web2)
    fleet = await played.open()
    fleet.reports.take(played.web2.signed(5))
    await fleet.beat()
    assert "cannot write the state: disk full" in caplog.text
    assert await played.relay.keys(Kind.HEARTBEAT) == ["heartbeat/issuer"]
    assert await working.read_reports() == {}


async def test_each_beat_notifies(played: Played) -> None:
    async def notify(fleet: Fleet) -> None:
        played.notified.append(fleet)

    fleet = await played.open(notify)
    await fleet.beat()
    assert played.notified == [fleet]


async def test_manifest_that_a_node_offers_is_taken_with_the_next_beat(played: Played, clock: FakeClock) -> None:
    # Not `running`, whose pauses take no time here: it may be a year later when the relay has everything.
    fleet = await played.open()
    await fleet.beat()
    feeding = asyncio.create_task(fleet.feed.run())
    await run_tasks_until(lambda: fleet.feed.has("manifest/fleet") and fleet.feeds[0].filled.is_set())
    feeding.cancel()
    other = Played(played.folder / "other", clock)
    await other.install()
    for _ in range(3):
        clock.advance(24 * 3600)
        await other.distribution.refresh(["web"])
    offered, known = await other.relay.get("manifest/fleet"), await played.relay.get("manifest/fleet")
    assert offered is not None
    assert known is not None
    await played.relay.put("manifest/fleet", offered.value, expected=known.version)
    again, now = await played.open(), clock.now()
    feeding = asyncio.create_task(again.feed.run())
    await run_tasks_until(lambda: again.distribution.is_outdated)
    # The feed's pauses take no time here, but a day later the manifest would be signed again.
    clock.step((now - clock.now()).total_seconds())
    await again.beat()
    feeding.cancel()
    assert (await played.manifest()).number == (await other.manifest()).number + 1


async def test_command_waits_until_a_node_has_used_its_invite(played: Played, clock: FakeClock) -> None:
    joins = Joins(played.records, Notes(), clock)
    await played.records.record_invite(replace(OPEN, expires_at=clock.now() + timedelta(hours=1)))
    fleet = await played.open(joins=joins)
    waiting = asyncio.create_task(fleet.until_joined(INVITE.id))
    tasks = [asyncio.create_task(one) for one in (fleet.feed.run(), joins.run(fleet.feed))]
    await run_tasks_until(fleet.feeds[0].heard.is_set)
    assert not waiting.done()
    await played.relay.put(KEY, request().to_bytes(), expected=None, expires_at=clock.timestamp() + 3600)
    await waiting
    for task in tasks:
        task.cancel()
    assert "web9" in await played.records.read_nodes()


async def test_process_ends_once_nodes_have_tried_everything(played: Played, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fleet = await played.open()
    await fleet.beat()
    async with running(fleet):
        for node in (played.web2, played.web3):
            await played.report(node, CertificateState.SERVED, 1)
        await run_tasks_until(lambda: len(fleet.reports.last) == 2)
        await fleet.settle()
    assert caplog.messages == ["node 'web2' has web (version 1)", "node 'web3' has web (version 1)"]


async def test_process_does_not_wait_long_for_nodes(played: Played, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fleet = await played.open()
    await fleet.beat()
    fleet.reports.take(played.web2.signed(1))
    await fleet.settle()
    assert caplog.messages == [
        "not all nodes have reported the newest certificates yet; see 'wellkeeper status --nodes'"
    ]


async def test_process_does_not_wait_long_for_a_relay(played: Played, caplog: pytest.LogCaptureFixture) -> None:
    played.relay.is_up = False
    fleet = await played.open()
    await fleet.beat()
    await fleet.settle()
    assert caplog.messages[-1] == (
        "nodes get what is new once the relay answers: cannot reach the relay: Connection refused"
    )
