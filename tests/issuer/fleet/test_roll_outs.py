"""Roll-outs: a wrong certificate on two nodes stops one, and nothing else does."""

from dataclasses import replace

import pytest

from tests.fakes import run_tasks_until
from tests.issuer.fleet.played import Played, running
from wellkeeper_node.agent.report import CertificateReport, CertificateState


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
