"""Reports of nodes: only those that their node signed count, and only newer ones."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.issuer.fleet.relays import FakeRelay, PlayedNode
from wellkeeper_client import records
from wellkeeper_client.fleet_bodies import NodeBody
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_client.signing import sign_claims
from wellkeeper_issuer.fleet.reports import PROBE, Reports, Seen, read_all
from wellkeeper_node.agent.report import CertificateReport, CertificateState, Report, done_digest
from wellkeeper_node.complaints import MOST


@pytest.fixture
def web2(clock: FakeClock) -> PlayedNode:
    return PlayedNode("web2", FakeRelay(clock), clock)


@pytest.fixture
def web3(clock: FakeClock) -> PlayedNode:
    return PlayedNode("web3", FakeRelay(clock), clock)


@pytest.fixture
def enrolled(web2: PlayedNode, web3: PlayedNode) -> dict[str, NodeBody]:
    return {one.name: one.body for one in (web2, web3)}


@pytest.fixture
def reports(enrolled: dict[str, NodeBody], clock: FakeClock) -> Reports:
    return Reports(lambda: enrolled, clock)


def test_report_of_a_node_is_taken(reports: Reports, web2: PlayedNode, clock: FakeClock) -> None:
    reports.take(web2.signed(1))
    seen = reports.last["web2"]
    assert (seen.number, seen.at, seen.report) == (1, clock.now(), web2.report)
    assert reports.of("web2") == web2.report
    assert reports.of("web3") is None


def test_report_of_a_removed_node_counts_no_longer(
    reports: Reports, web2: PlayedNode, enrolled: dict[str, NodeBody]
) -> None:
    reports.take(web2.signed(1))
    del enrolled["web2"]
    assert reports.last == {}


def test_node_that_left_and_joined_again_may_count_from_a_lower_number(
    reports: Reports, web2: PlayedNode, enrolled: dict[str, NodeBody], clock: FakeClock
) -> None:
    reports.take(web2.signed(7))
    again = PlayedNode("web2", FakeRelay(clock), clock)
    enrolled["web2"] = again.body
    reports.take(again.signed(5))
    assert reports.last["web2"].number == 5
    reports.take(again.signed(4))
    assert reports.last["web2"].number == 5


def test_node_is_heard_lately_for_three_minutes(reports: Reports, web2: PlayedNode, clock: FakeClock) -> None:
    assert not reports.is_lately_heard("web2")
    reports.take(web2.signed(1))
    clock.advance(180)
    assert reports.is_lately_heard("web2")
    clock.advance(1)
    assert not reports.is_lately_heard("web2")


@pytest.mark.parametrize("number", [4, 5], ids=["older", "again"])
def test_replayed_report_changes_nothing(
    reports: Reports, web2: PlayedNode, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    reports.take(web2.signed(5))
    taken = reports.of("web2")
    web2.report = replace(web2.report, version="0.9")
    reports.take(web2.signed(number))
    assert reports.of("web2") is taken
    assert caplog.messages == []


def test_report_from_before_the_start_is_not_taken_again(
    enrolled: dict[str, NodeBody], web2: PlayedNode, clock: FakeClock
) -> None:
    first = Reports(lambda: enrolled, clock)
    first.take(web2.signed(5))
    at = clock.now()
    clock.advance(600)
    second = Reports(lambda: enrolled, clock, first.last)
    second.take(web2.signed(5))
    assert second.last["web2"].at == at


Forge = Callable[[PlayedNode, PlayedNode], Stored]
_FORGED: dict[str, tuple[Forge, str]] = {
    "of another node": (lambda web2, _web3: web2.signed(1, about="web3"), "it is the report 'report/web3'"),
    "with the key of another node": (
        lambda web2, web3: web2.signed(1, key=web3.signing_key),
        "the key in 'kid' is not trusted for this",
    ),
    "of a stranger": (
        lambda web2, _web3: Stored("report/web9", web2.signed(1).value),
        "the node is not enrolled",
    ),
    "junk": (lambda _web2, _web3: Stored("report/web2", b"junk"), "it is not a compact JWS"),
}


@pytest.mark.parametrize(("forge", "words"), _FORGED.values(), ids=_FORGED)
def test_forged_report_is_ignored_and_logged_once(
    reports: Reports,
    web2: PlayedNode,
    web3: PlayedNode,
    forge: Forge,
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        reports.take(forge(web2, web3))
    assert reports.last == {}
    assert len(caplog.messages) == 1
    assert words in caplog.messages[0]


def test_report_of_another_shape_is_ignored(
    reports: Reports, web2: PlayedNode, caplog: pytest.LogCaptureFixture
) -> None:
    web2.report = replace(web2.report, manifest=-1)
    reports.take(web2.signed(1))
    assert "'manifest' is not a number" in caplog.text
    web2.report = replace(web2.report, manifest=1)
    reports.take(web2.signed(2))
    assert reports.of("web2") == web2.report


async def test_waiting_ends_with_the_report_that_fulfils_the_condition(
    enrolled: dict[str, NodeBody], web2: PlayedNode, web3: PlayedNode
) -> None:
    class Slow(FakeClock):
        async def sleep(self, _seconds: float) -> None:
            await asyncio.Event().wait()

    slow = Reports(lambda: enrolled, Slow())
    waiting = asyncio.create_task(slow.until(lambda: len(slow.last) == 2, 10))
    await asyncio.sleep(0)
    slow.take(web2.signed(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    slow.take(web3.signed(1))
    await run_tasks_until(waiting.done)
    assert waiting.result()


async def test_waiting_ends_after_its_time(reports: Reports, clock: FakeClock) -> None:
    assert not await reports.until(lambda: False, 10)
    assert clock.slept == [10]


async def test_condition_that_holds_already_needs_no_wait(reports: Reports) -> None:
    assert await reports.until(lambda: True, 10)


def test_report_of_a_node_with_an_older_program_counts(reports: Reports, web2: PlayedNode) -> None:
    web2.report = replace(web2.report, version="0.0.1")
    reports.take(web2.signed(1))
    report = reports.of("web2")
    assert report is not None
    assert report.version == "0.0.1"


def test_what_the_check_of_an_engine_writes_is_not_logged(reports: Reports, caplog: pytest.LogCaptureFixture) -> None:
    reports.take(Stored("report/check-1a2b3c4d", PROBE))
    assert (caplog.messages, dict(reports.last)) == ([], {})


def test_record_of_a_later_format_is_named_with_the_remedy(
    reports: Reports, web2: PlayedNode, caplog: pytest.LogCaptureFixture
) -> None:
    claims = {"aud": records.AUDIENCE, "version": 2, "key": "report/web2", "number": 1, "iat": 1, "exp": 2, "body": {}}
    message = sign_claims(Kind.REPORT.message_type, claims, web2.signing_key)
    for _ in range(2):
        reports.take(Stored("report/web2", message.encode()))
    (said,) = caplog.messages
    assert said.startswith("ignored a report of node 'web2': the record has version 2, this program reads version 1. ")
    assert said.endswith("Upgrade Wellkeeper on this host before its nodes.")


def test_deliveries_are_logged_once_each(reports: Reports, web2: PlayedNode, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    served = {f"web{n:02}": CertificateReport(1, "ab" * 32, CertificateState.SERVED) for n in range(12)}
    refused = CertificateReport(2, "ab" * 32, CertificateState.REFUSED)
    installed = replace(refused, state=CertificateState.INSTALLED)
    for number, found in enumerate([served, served, served | {"web03": refused}, served | {"web03": installed}]):
        web2.report = replace(web2.report, certificates=found)
        reports.take(web2.signed(number))
    first, second = caplog.messages
    assert first.startswith("node 'web2' has web00 (version 1), web01 (version 1), ")
    assert first.endswith("web09 (version 1) and 2 more")
    assert second == "node 'web2' has web03 (version 2)"


def test_versions_that_a_report_left_out_are_not_logged_as_new(
    reports: Reports, web2: PlayedNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    served = {name: CertificateReport(1, "ab" * 32, CertificateState.SERVED) for name in ("mail", "web")}
    whole, short = replace(web2.report, certificates=served), replace(web2.report, done=frozenset(map(digest, served)))
    for number, web2.report in enumerate([whole, short, whole]):
        reports.take(web2.signed(number))
    assert caplog.messages == ["node 'web2' has mail (version 1), web (version 1)"]


def test_nodes_with_the_same_certificates_share_their_digests(clock: FakeClock) -> None:
    done = {"web2": ["a", "b"], "web3": ["a", "b"], "web4": ["a"]}
    seen = {
        name: Seen(name, 1, clock.now(), Report("1", 0, done=frozenset(map(digest, of)))) for name, of in done.items()
    }
    found = read_all({name: one.to_record() for name, one in seen.items()})
    assert found == seen
    assert found["web2"].report.done is found["web3"].report.done


def digest(lineage: str) -> str:
    return done_digest(lineage, 1)


def test_successor_of_a_node_begins_with_any_number(
    reports: Reports, web2: PlayedNode, web3: PlayedNode, enrolled: dict[str, NodeBody]
) -> None:
    reports.take(web2.signed(2**53 - 1))
    enrolled["web2"] = web3.body
    assert (reports.of("web2"), reports.last, reports.is_lately_heard("web2")) == (None, {}, False)
    web3.report = replace(web3.report, version="1.2.4")
    reports.take(Stored("report/web2", web3.signed(1, about="web2").value))
    assert reports.of("web2") == web3.report


def test_reports_of_made_up_nodes_do_not_fill_the_log(
    reports: Reports, web2: PlayedNode, caplog: pytest.LogCaptureFixture
) -> None:
    message = web2.signed(1).value
    for number in range(10 * MOST):
        reports.take(Stored(f"report/web{number + 9}", message))
    assert len(caplog.messages) == MOST
