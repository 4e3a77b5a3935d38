"""The agent reports what clients get where it is not the newest version, in simulated time."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from tests.fakes_deliver import NOW, FakeCa
from tests.fleet import CA, A, B, sealed
from tests.node.agent.fakes import ADDRESS
from tests.node.agent.made import MadeNode, is_served, state, virtually
from wellkeeper_node.agent.instead import Got, Instead
from wellkeeper_node.agent.looking import Known
from wellkeeper_node.agent.report import CertificateReport, CertificateState, Report, parse_report
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.placeholders import make_self_signed
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Certificate, Listener, Pair

HOUR: Final = 3600.0


@pytest.fixture
def node(folder: Path) -> MadeNode:
    return MadeNode(folder)


def leaf_of(pair: Pair) -> Certificate:
    return reading.read_certificate(pair.chain_pem)


def instead(report: Report) -> Instead | None:
    found = report.certificates.get("web")
    return found.instead if found else None


def gets(what: Got) -> Callable[[Report], bool]:
    def is_wanted(report: Report) -> bool:
        found = instead(report)
        return found is not None and found.what is what

    return is_wanted


def dates(leaf: Certificate) -> tuple[float, float]:
    return leaf.not_before.timestamp(), leaf.not_after.timestamp()


def test_served_certificate_is_checked_each_hour(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.deliver(1)
            first = await node.reported(lambda one: is_served(1, one) and one.checked_at is not None)
            assert instead(first) is None
            assert NOW.timestamp() <= (first.checked_at or 0) <= first.clock
            second = await node.reported(lambda one: one.checked_at != first.checked_at, every=5)
            assert (second.checked_at or 0) - (first.checked_at or 0) == pytest.approx(HOUR, abs=10)

    virtually(work)


@pytest.mark.parametrize(
    ("pair", "what"),
    [
        (CA.pair(A), Got.OTHER),
        (make_self_signed([A], 30, NOW), Got.PLACEHOLDER),
        (FakeCa().pair(B), Got.UNRELATED),
    ],
    ids=["of someone else", "placeholder", "for other names"],
)
def test_certificate_that_replaced_ours_is_found_and_named(node: MadeNode, pair: Pair, what: Got) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            node.probes.instead = leaf_of(pair)
            report = await node.reported(gets(what), every=5)
            found = instead(report)
            assert found is not None
            assert (found.not_before, found.not_after) == dates(leaf_of(pair))
            assert found.serial == leaf_of(pair).serial
            assert found.number is None
            assert report.clock - found.since < HOUR
            assert found.since - NOW.timestamp() <= HOUR + 60
            later = await node.reported(lambda one: (one.checked_at or 0) > found.since + 600, every=5)
            assert instead(later) == found
            node.probes.instead = None
            assert instead(await node.reported(lambda one: is_served(1, one), every=5)) is None

    virtually(work)


def test_certificate_from_before_1970_is_in_a_report_that_can_be_read() -> None:
    leaf = replace(leaf_of(CA.pair(A)), not_before=datetime(1960, 1, 1, tzinfo=UTC))
    found = Known("newest", (), {}, NOW.timestamp()).of_leaf(leaf)
    wrong = CertificateReport(1, "newest", CertificateState.WRONG, instead=found)
    report = Report("1", NOW.timestamp(), certificates={"web": wrong})
    assert instead(parse_report("web1", report.to_json())) == found
    assert (found.not_before, found.not_after) == (0, leaf.not_after.timestamp())


@pytest.mark.parametrize("error", [None, VerifyError("cannot connect to 127.0.0.1:443", "Connection refused")])
def test_nginx_that_refuses_or_does_not_answer_serves_nothing(node: MadeNode, error: VerifyError | None) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            node.probes.is_refusing, node.probes.failure = error is None, error
            found = instead(await node.reported(gets(Got.NOTHING), every=5))
            assert found is not None
            assert (found.not_after, found.serial) == (None, "")

    virtually(work)


def test_older_version_is_named_with_its_number_and_expiry(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            first = await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            pair = CA.pair(A)
            node.nginx.bad_versions.add(leaf_of(pair).fingerprint_sha256[:8])
            await node.issuer.deliver(2, pair)
            report = await node.reported(gets(Got.OLDER))
            assert state(report, 2) is CertificateState.REFUSED
            found = instead(report)
            assert found is not None
            assert (found.number, found.serial) == (1, leaf_of(first).serial)
            assert (found.not_before, found.not_after) == dates(leaf_of(first))

    virtually(work)


def test_older_version_is_looked_at_once_a_bundle_is_late(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            node.issuer.listed["web"] = sealed("web", 2, CA.pair(A))
            await node.issuer.list()
            report = await node.reported(lambda one: "sealed for this node" in (one.certificates["web"].cause or ""))
            assert (state(report, 2), instead(report)) == (CertificateState.WAITING, None)
            late = await node.reported(gets(Got.OLDER))
            assert late.clock - report.clock >= 60
            assert instead(await node.reported(lambda one: one.clock > late.clock + 300)) == instead(late)

    virtually(work)


def test_newest_version_may_be_served_after_an_error(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            node.certificates.failing_reads["web"] = 1
            found = instead(await node.reported(gets(Got.NEWEST), every=5))
            assert found is not None
            assert found.number == 1

    virtually(work)


def test_newest_version_is_an_older_one_once_the_manifest_has_the_next(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            node.certificates.failing_reads["web"] = 1
            newest = await node.reported(gets(Got.NEWEST), every=1)
            node.issuer.listed["web"] = sealed("web", 2, CA.pair(A))
            await node.issuer.list()
            report = await node.reported(lambda one: state(one, 2) is CertificateState.WAITING)
            found, former = instead(report), instead(newest)
            assert found is not None
            assert former is not None
            assert (found.what, found.number, found.serial) == (Got.OLDER, 1, former.serial)
            assert newest.clock <= found.since <= report.clock

    virtually(work)


def test_other_certificate_where_no_server_block_uses_ours_is_named(node: MadeNode) -> None:
    async def work() -> None:
        node.nginx.needed.clear()
        node.nginx.blocks.clear()
        node.probes.instead = leaf_of(CA.pair(A))
        async with node.running():
            await node.issuer.deliver(1)
            report = await node.reported(gets(Got.OTHER))
            assert state(report, 1) is CertificateState.INSTALLED
            live = node.certificates.live_path("web")
            assert report.certificates["web"].remedy.startswith(f"Set 'ssl_certificate {live}/fullchain.pem;'")

    virtually(work)


def test_certificate_that_cannot_be_looked_at_has_the_first_error(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            node.certificates.failing_reads["web"] = 10_000
            report = await node.reported(lambda one: state(one, 1) is CertificateState.FAILED, every=5)
            assert report.certificates["web"].cause == "cannot read web: Input/output error"
            assert instead(report) is None

    virtually(work)


def test_certificate_that_no_handshake_can_show_says_so(node: MadeNode) -> None:
    async def work() -> None:
        (block,) = node.nginx.blocks
        node.nginx.blocks[:] = [replace(block, listeners=(Listener(ADDRESS, is_visible=False),))]
        async with node.running():
            await node.issuer.deliver(1)
            report = await node.reported(lambda one: state(one, 1) is CertificateState.INSTALLED)
            assert "no handshake can reach its listeners" in (report.certificates["web"].cause or "")
            assert instead(report) is None

    virtually(work)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Instead(Got.OLDER, 0, 2, "0a1b"), "version 2, serial 0a1b"),
        (Instead(Got.OLDER, 0, None, "0a1b"), "an older version, serial 0a1b"),
        (Instead(Got.NEWEST, 0, 2, "0a1b"), "the newest version, serial 0a1b"),
        (Instead(Got.NOTHING, 0), "no certificate"),
    ],
    ids=["numbered", "older", "newest", "nothing"],
)
def test_certificate_is_named_with_what_tells_it_apart(found: Instead, words: str) -> None:
    assert found.words == words
