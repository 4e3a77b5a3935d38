"""The nodes that a restored issuer waits for: ephemeral ones, those that join meanwhile, and another issuer."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.fakes_fleet import FakeFleet
from tests.issuer.fleet.played import running
from tests.issuer.fleet.restores import Restoring, until_missing
from tests.issuer.fleet.test_joins import OPEN, Notes
from tests.joins import INVITE
from tests.relay.messages import FLEET_KEY
from wellkeeper_client import records
from wellkeeper_client.heartbeats import Heartbeat, IssuerId
from wellkeeper_client.records import Kind
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.fleet.joins import Joins
from wellkeeper_issuer.fleet.restored import GONE_SECONDS
from wellkeeper_issuer.ports.fleet import Lost


class FullDisk(FakeFleet):
    """Records from which no invite can be removed."""

    async def forget_expired(self, now: datetime) -> None:
        raise JournalError(f"cannot forget invites that ended before {now}", "No space left on device")


async def make_ephemeral(restoring: Restoring) -> None:
    """Make all nodes ephemeral ones that were enrolled long before the backup."""
    for node in (await restoring.records.read_nodes()).values():
        enrolled_at = restoring.clock.now() - timedelta(hours=2)
        await restoring.records.record_node(replace(node, is_ephemeral=True, enrolled_at=enrolled_at))


async def test_ephemeral_nodes_count_although_the_backup_has_only_old_reports_of_them(restoring: Restoring) -> None:
    await make_ephemeral(restoring)
    fleet = await restoring.open()
    async with running(fleet):
        await until_missing(fleet, "web2", "web3")
        await restoring.offer()
        await restoring.report(*restoring.nodes)
        await run_tasks_until(lambda: not fleet.restored.is_waiting)
    assert fleet.restored.lost == {"web": Lost(restoring.before, 2)}


async def test_ephemeral_node_that_does_not_report_within_three_minutes_is_gone(restoring: Restoring) -> None:
    await make_ephemeral(restoring)
    await restoring.offer()
    await restoring.report(restoring.nodes[0])
    fleet = await restoring.open()
    async with running(fleet):
        await until_missing(fleet, "web3")
        restoring.clock.step(GONE_SECONDS)
        await run_tasks_until(lambda: not fleet.restored.is_waiting)
    assert fleet.restored.lost == {"web": Lost(restoring.before, 2)}


async def test_ephemeral_nodes_are_not_gone_while_the_relay_is_away(restoring: Restoring) -> None:
    await make_ephemeral(restoring)
    restoring.relay.is_up = False
    fleet = await restoring.open()
    async with running(fleet):
        await until_missing(fleet, "web2", "web3")
        restoring.clock.step(2 * GONE_SECONDS)
        await run_tasks_until(lambda: bool(fleet.feed.failure))
        slept = len(restoring.clock.slept)
        await run_tasks_until(lambda: len(restoring.clock.slept) > slept + 200)
        restoring.relay.is_up = True
        await run_tasks_until(lambda: not fleet.feed.failure)
        await restoring.offer()
        await restoring.report(*restoring.nodes)
        await run_tasks_until(lambda: not fleet.restored.is_waiting)
    assert fleet.restored.lost == {"web": Lost(restoring.before, 2)}


async def test_invite_that_cannot_be_offered_does_not_prolong_the_wait(
    restoring: Restoring, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await restoring.offer()
    await restoring.report(*restoring.nodes)
    fleet = await restoring.open(Joins(FullDisk(), Notes(), clock))
    async with running(fleet):
        await run_tasks_until(lambda: not fleet.restored.is_waiting)
    assert "cannot forget invites that ended before" in caplog.text


async def test_node_may_join_meanwhile_and_is_waited_for(restoring: Restoring, clock: FakeClock) -> None:
    await restoring.records.record_invite(replace(OPEN, expires_at=clock.now() + timedelta(minutes=30)))
    await restoring.offer()
    await restoring.report(*restoring.nodes)
    await restoring.records.record_node(replace((await restoring.records.read_nodes())["web2"], name="web9"))
    fleet = await restoring.open(Joins(restoring.records, Notes(), clock))
    async with running(fleet):
        await until_missing(fleet, "web9")
        assert await restoring.relay.keys(Kind.INVITE) == [f"invite/{INVITE.id}"]


async def test_another_issuer_is_logged_meanwhile(restoring: Restoring, caplog: pytest.LogCaptureFixture) -> None:
    fleet, now = await restoring.open(), int(restoring.clock.now().timestamp())
    beat = records.sign(Heartbeat(IssuerId("b" * 22, "web9", now + 9), now + 9).to_record(), FLEET_KEY)
    await restoring.nodes[0].say(heartbeats=(beat,))
    async with running(fleet):
        await run_tasks_until(lambda: "web2" in fleet.reports.last)
        slept = len(restoring.clock.slept)
        await run_tasks_until(lambda: len(restoring.clock.slept) > slept + 200)
        assert fleet.restored.is_waiting
    assert "several issuers feed this fleet" in caplog.text
