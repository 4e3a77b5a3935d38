"""The history of what nodes have: each delivery and refusal once, whatever they report and however often."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes import FakeHistory
from tests.issuer.fleet.played import Played
from tests.issuer.fleet.relays import PlayedNode
from tests.issuer.fleet.test_rekeying import NEW
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_issuer.fleet.fleet_history import FleetHistory
from wellkeeper_node.agent.report import CertificateReport, CertificateState, Report, done_digest
from wellkeeper_node.happened import Happened, What

SERVED, WRONG, WAITING = CertificateState.SERVED, CertificateState.WRONG, CertificateState.WAITING


class Reporter:
    """A node whose reports are taken and recorded one after the other."""

    def __init__(self, fleet: Fleet, node: PlayedNode) -> None:
        self.fleet, self.node, self.number = fleet, node, 0

    async def report(self, state: CertificateState | None = None, number: int = 1, **more: object) -> None:
        one = {"web": CertificateReport(number, "ab" * 32, state, "its cause")} if state else {}
        await self.send(replace(self.node.report, certificates=one, **more))  # type: ignore[arg-type]

    async def send(self, report: Report) -> None:
        self.number += 1
        self.node.report = report
        self.fleet.reports.take(self.node.signed(self.number))
        await self.fleet.record_reports()


@pytest.fixture
async def fleet(played: Played) -> Fleet:
    opened = await played.open()
    await opened.beat()
    return opened


@pytest.fixture
def web2(fleet: Fleet, played: Played) -> Reporter:
    return Reporter(fleet, played.web2)


def kinds(history: FakeHistory) -> list[What]:
    return [one.what for one in history.happened]


async def test_delivery_is_recorded_once_per_node(played: Played, fleet: Fleet, web2: Reporter) -> None:
    for state in (WAITING, SERVED, SERVED):
        await web2.report(state)
    await Reporter(fleet, played.web3).report(SERVED)
    assert [one.details["node"] for one in played.history.happened] == ["web2", "web3"]
    leaf = fleet.distribution.listed["web"].leaf_sha256
    details = {"node": "web2", "version": "1", "leaf_sha256": leaf, "state": "served", "reason": "its cause"}
    assert played.history.happened[0] == Happened(What.CERTIFICATE_DELIVERED, "web", details)


async def test_refusal_has_its_reason(played: Played, web2: Reporter) -> None:
    for state in (CertificateState.REFUSED, WRONG, SERVED):
        await web2.report(state)
    assert kinds(played.history) == [What.CERTIFICATE_REFUSED, What.CERTIFICATE_DELIVERED]
    assert played.history.happened[0].details["reason"] == "its cause"


async def test_node_that_changes_its_mind_fills_nothing(played: Played, web2: Reporter) -> None:
    for state in (SERVED, None, WRONG) * 20:
        await web2.report(state)
    assert kinds(played.history) == [What.CERTIFICATE_DELIVERED, What.CERTIFICATE_REFUSED]


async def test_node_has_no_say_about_what_it_does_not_get(played: Played, fleet: Fleet, web2: Reporter) -> None:
    await web2.report(SERVED, number=7)
    made_up = {f"c{number}": CertificateReport(1, "ab" * 32, SERVED) for number in range(9)}
    await web2.send(replace(web2.node.report, certificates=made_up))
    fleet.nodes = {**fleet.nodes, "web2": replace(fleet.nodes["web2"], lineages=("mail",))}
    await web2.report(SERVED)
    assert played.history.happened == []


async def test_digest_in_a_long_report_is_a_delivery(played: Played, web2: Reporter) -> None:
    for _ in range(2):
        await web2.report(done=frozenset({done_digest("web", 1)}))
    await web2.report(SERVED)
    assert [one.details["state"] for one in played.history.happened] == ["loaded"]


async def test_another_node_of_the_same_name_gets_its_own_delivery(
    played: Played, fleet: Fleet, web2: Reporter
) -> None:
    await web2.report(SERVED)
    later = fleet.nodes["web2"].enrolled_at + timedelta(hours=1)
    fleet.nodes = {**fleet.nodes, "web2": replace(fleet.nodes["web2"], enrolled_at=later)}
    await web2.report(SERVED)
    assert kinds(played.history) == [What.CERTIFICATE_DELIVERED] * 2


async def test_next_version_is_another_delivery(played: Played, fleet: Fleet, web2: Reporter) -> None:
    await web2.report(SERVED)
    await played.install()
    await fleet.distribution.offer("web")
    await web2.report(WAITING, number=2)
    await web2.report(SERVED, number=2)
    assert [one.details["version"] for one in played.history.happened] == ["1", "2"]


@pytest.mark.parametrize("state", [SERVED, WRONG])
async def test_restart_repeats_nothing(played: Played, web2: Reporter, state: CertificateState) -> None:
    await web2.report(state)
    again = await played.open()
    await again.beat()
    later = Reporter(again, played.web2)
    later.number = web2.number
    await later.report(state)
    assert len(played.history.happened) == 1


async def test_other_keys_of_a_node_are_recorded(played: Played, web2: Reporter) -> None:
    former = played.web2.body.signing_key
    await web2.report(next_keys=NEW.line)
    details = {"key": NEW.texts[0], "former_key": former}
    assert played.history.happened == [Happened(What.NODE_REKEYED, "web2", details)]


async def test_stopped_roll_out_is_recorded(played: Played, fleet: Fleet, web2: Reporter) -> None:
    web3 = Reporter(fleet, played.web3)
    await played.install()
    await fleet.distribution.offer("web")
    for node in (web2, web3):
        await node.report(WRONG, number=2)
    played.history.happened.clear()
    await fleet.roll_outs.stop_wrong()
    details = {"nodes": "web2, web3", "version": "2", "result": "they get the former version again"}
    assert played.history.happened == [Happened(What.CERTIFICATE_ROLLED_BACK, "web", details)]


async def test_report_before_the_manifest_was_read_is_recorded_with_the_next_one(played: Played) -> None:
    fleet = await played.open()
    reporter = Reporter(fleet, played.web2)
    await reporter.report(SERVED)
    assert kinds(played.history) == []
    await fleet.beat()
    await reporter.report(SERVED)
    assert kinds(played.history) == [What.CERTIFICATE_DELIVERED]


async def test_reports_of_removed_nodes_are_not_kept(played: Played) -> None:
    web2, web3 = (await played.records.read_nodes()).values()
    last = {(one.name, one.enrolled_at): played.web2.report for one in (web2, web3)}
    history = FleetHistory(played.history, last)
    await history.take({"web3": web3}, [], {})
    assert history.last == {("web3", web3.enrolled_at): played.web2.report}
