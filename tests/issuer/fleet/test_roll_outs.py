"""Roll-outs: a wrong certificate on two nodes stops one, and nothing else does."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes import run_tasks_until
from tests.issuer.fleet.played import Played, running
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_node.agent.report import CertificateReport, CertificateState

NUMBERS = {CertificateState.SERVED: 1, CertificateState.WAITING: 2, CertificateState.WRONG: 3}


def take(played: Played, fleet: Fleet, state: CertificateState) -> None:
    """Take a report of each node about the second version."""
    for node in (played.web2, played.web3):
        certificates = {"web": CertificateReport(2, "ab" * 32, state)}
        node.report = replace(node.report, certificates=certificates)
        fleet.reports.take(node.signed(NUMBERS[state]))


async def hear(played: Played, fleet: Fleet, state: CertificateState) -> None:
    take(played, fleet, state)
    await fleet.record_reports()


async def open_second(played: Played) -> Fleet:
    """Return a fleet whose nodes get their second version."""
    fleet = await played.open()
    await fleet.beat()
    await played.install()
    await fleet.distribution.offer("web")
    return fleet


async def same(_: Played, fleet: Fleet) -> Fleet:
    return fleet


async def restarted(played: Played, _: Fleet) -> Fleet:
    again = await played.open()
    await again.beat()
    return again


async def test_wrong_certificate_on_two_nodes_stops_its_roll_out(
    played: Played, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = await played.open()
    await fleet.beat()
    _, first = await played.listed()
    await played.install()
    await fleet.distribution.offer("web")
    async with running(fleet):
        await played.report(played.web2, CertificateState.WRONG, 2)
        await run_tasks_until(lambda: fleet.reports.of("web2") == played.web2.report)
        await fleet.roll_outs.stop_wrong()
        assert (await played.listed())[0] == 2
        await played.report(played.web3, CertificateState.WRONG, 2)
        await run_tasks_until(lambda: fleet.distribution.listed["web"].version.number == 3)
        await run_tasks_until(lambda: "they get the former version again" in caplog.text)
    assert await played.listed() == (3, first)
    assert "certificate web is wrong on nodes web2, web3" in caplog.text


async def test_refusal_by_two_nodes_stops_no_roll_out(played: Played) -> None:
    fleet = await played.open()
    await fleet.beat()
    second = await played.install()
    await fleet.distribution.offer("web")
    for node in (played.web2, played.web3):
        node.report = replace(
            node.report,
            certificates={"web": CertificateReport(2, "ab" * 32, CertificateState.REFUSED, "nginx says no")},
        )
        fleet.reports.take(node.signed(1))
    await fleet.roll_outs.stop_wrong()
    assert await played.listed() == (2, second)


async def test_first_certificate_that_is_wrong_is_reported_once(
    played: Played, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = await played.open()
    await fleet.beat()
    for node in (played.web2, played.web3):
        node.report = replace(
            node.report, certificates={"web": CertificateReport(1, "ab" * 32, CertificateState.WRONG)}
        )
        fleet.reports.take(node.signed(1))
    for _ in range(2):
        await fleet.roll_outs.stop_wrong()
    assert [one for one in caplog.messages if "there is no former version" in one] == caplog.messages
    assert len(caplog.messages) == 1


async def test_roll_out_that_cannot_be_stopped_is_logged(played: Played, caplog: pytest.LogCaptureFixture) -> None:
    fleet = await played.open()
    await fleet.beat()
    await played.install()
    await fleet.distribution.offer("web")
    for node in (played.web2, played.web3):
        node.report = replace(
            node.report, certificates={"web": CertificateReport(2, "ab" * 32, CertificateState.WRONG)}
        )
        fleet.reports.take(node.signed(1))
    (played.folder / "manifest.jws").unlink()
    (played.folder / "manifest.jws").mkdir()
    await fleet.roll_outs.stop_wrong()
    assert "cannot stop the roll-out of web" in caplog.text


async def test_node_has_no_say_in_certificates_that_it_does_not_get(played: Played) -> None:
    fleet = await played.open()
    await fleet.beat()
    second = await played.install()
    await fleet.distribution.offer("web")
    fleet.nodes = {**fleet.nodes, "web2": replace(fleet.nodes["web2"], lineages=("mail",))}
    for node in (played.web2, played.web3):
        node.report = replace(
            node.report, certificates={"web": CertificateReport(2, "ab" * 32, CertificateState.WRONG)}
        )
        fleet.reports.take(node.signed(1))
    await fleet.roll_outs.stop_wrong()
    assert await played.listed() == (2, second)


@pytest.mark.parametrize("go_on", [same, restarted])
@pytest.mark.parametrize("states", [[], [CertificateState.WAITING]], ids=["at once", "after a restart of the agents"])
async def test_version_that_nodes_served_is_not_taken_back_when_they_serve_another_one_later(
    played: Played, go_on: Callable[[Played, Fleet], Awaitable[Fleet]], states: list[CertificateState]
) -> None:
    fleet = await open_second(played)
    second = await played.listed()
    await hear(played, fleet, CertificateState.SERVED)
    fleet = await go_on(played, fleet)
    for state in (*states, CertificateState.WRONG):
        await hear(played, fleet, state)
    await fleet.roll_outs.stop_wrong()
    assert await played.listed() == second


async def test_version_that_nodes_served_is_not_taken_back_after_a_restart(played: Played) -> None:
    fleet = await open_second(played)
    second = await played.listed()
    for state in (CertificateState.SERVED, CertificateState.WRONG):
        await hear(played, fleet, state)
    fleet = await restarted(played, fleet)
    await fleet.roll_outs.stop_wrong()
    assert await played.listed() == second


async def test_history_that_cannot_be_read_delays_no_stop(played: Played, caplog: pytest.LogCaptureFixture) -> None:
    played.can_read_history = False
    fleet = await open_second(played)
    await hear(played, fleet, CertificateState.WRONG)
    await fleet.roll_outs.stop_wrong()
    assert (await played.listed())[0] == 3
    assert "cannot read the history of certificate web: Permission denied" in caplog.messages


async def test_report_counts_before_it_is_recorded(played: Played) -> None:
    fleet = await open_second(played)
    second = await played.listed()
    await hear(played, fleet, CertificateState.SERVED)
    take(played, fleet, CertificateState.WRONG)
    await fleet.roll_outs.stop_wrong()
    assert await played.listed() == second


@pytest.mark.parametrize(("minutes", "number"), [(-1, 3), (1, 2)], ids=["before", "after"])
async def test_roll_out_ends_after_a_day(
    played: Played, minutes: float, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = await open_second(played)
    sealed_at = (played.clock.now() - timedelta(days=1, minutes=minutes)).timestamp()
    os.utime(played.folder / "state" / "bundles" / "web.json", (sealed_at, sealed_at))
    await hear(played, fleet, CertificateState.WRONG)
    for _ in range(2):
        await fleet.roll_outs.stop_wrong()
    assert (await played.listed())[0] == number
    (message,) = (one for one in caplog.messages if "is wrong on nodes web2, web3" in one)
    assert ("long after its roll-out" in message) is (number == 2)
