"""One pass over several certificates: who fails alone, what is delivered together, what the next pass does."""

import asyncio
import logging
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from issuer.errors import ChallengeError, JournalError, ReloadError, VerifyError
from issuer.model import Challenge, Lineage, Outcome, Report
from issuer.outside.journal import SqliteJournal
from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.issuer.hosts import LINEAGES, NAMES, Host, make_host
from tests.issuer.nodes import Nodes

ALL_SERVED = dict.fromkeys(NAMES, Outcome.SERVED)


@pytest.fixture
def host(journal: SqliteJournal, nodes: Nodes, clock: FakeClock) -> Host:
    return make_host(journal, nodes, clock)


def outcomes(reports: dict[str, Report]) -> dict[str, Outcome]:
    return {name: report.outcome for name, report in reports.items()}


def spoil_next_version(host: Host, name: str) -> None:
    """What nginx does not take of what is installed next."""
    before = host.certificates.live.get(name)

    def spoil(_: int) -> None:
        if host.certificates.live.get(name) not in {None, before}:
            host.nginx.bad_versions.add(host.certificates.live[name])

    host.nginx.at_test = spoil


async def test_all_are_obtained_and_served_with_one_reload(host: Host) -> None:
    reports = await host.run()
    assert outcomes(reports) == ALL_SERVED
    assert len(host.nginx.reloads) == 1
    for name, report in reports.items():
        installed = await host.certificates.installed(name)
        assert installed is not None
        assert report.certificate == installed.certificate
        assert report.served_fingerprint_sha256 == installed.certificate.fingerprint_sha256
        assert (report.reason, report.detail, report.error) == ("no certificate yet", "", None)
        assert list(report.seconds) == ["order", "publish", "validate", "finalize", "install", "reload", "verify"]


async def test_second_pass_does_nothing(host: Host) -> None:
    first = await host.run()
    reports = await host.run()
    assert outcomes(reports) == dict.fromkeys(NAMES, Outcome.UNCHANGED)
    assert host.ca.calls == []
    assert (len(host.nginx.reloads), host.nginx.test_count) == (1, 1)
    assert [one.certificate for one in reports.values()] == [one.certificate for one in first.values()]
    assert {one.reason for one in reports.values()} == {"not due"}


async def test_forced_pass_renews_what_is_not_due(host: Host) -> None:
    await host.run()
    reports = await host.run(LINEAGES[:1], is_forced=True)
    assert outcomes(reports) == {"a": Outcome.SERVED}
    assert host.ca.calls.count("newOrder") == 1
    assert len(host.nginx.reloads) == 2


async def test_failing_one_does_not_stop_the_others(host: Host) -> None:
    await host.run()
    host.ca.refused["b.example"] = None
    reports = await host.run(is_forced=True)
    assert outcomes(reports) == ALL_SERVED | {"b": Outcome.FAILED}
    assert isinstance(reports["b"].error, ChallengeError)
    assert reports["b"].error.certificate == "b"
    assert len(host.nginx.reloads) == 2


async def test_defect_does_not_stop_the_others_and_is_logged(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(challenge: Challenge) -> None:
        if str(host.ca.authorizations[challenge.url].identifier) == "b.example":
            raise RuntimeError("a defect")

    await host.run()
    host.ca.at_answer = fail
    with caplog.at_level(logging.ERROR):
        reports = await host.run(is_forced=True)
    assert outcomes(reports) == ALL_SERVED | {"b": Outcome.FAILED}
    assert isinstance(reports["b"].error, RuntimeError)
    assert "certificate b: unexpected error; please report it" in caplog.text


async def test_defect_in_verifying_one_does_not_stop_the_others(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.handshakes.defect_for = "a"
    with caplog.at_level(logging.ERROR):
        reports = await host.run()
    assert outcomes(reports) == ALL_SERVED | {"a": Outcome.FAILED}
    assert "certificate a: unexpected error" in caplog.text


async def test_one_that_nginx_does_not_take_fails_alone_and_is_rolled_back(host: Host) -> None:
    before = (await host.run())["b"].certificate
    spoil_next_version(host, "b")
    reports = await host.run(is_forced=True)
    assert outcomes(reports) == ALL_SERVED | {"b": Outcome.FAILED}
    assert isinstance(reports["b"].error, ReloadError)
    text = str(reports["b"].error)
    assert text.startswith("nginx does not take version ")
    assert "of b, which was rolled back to " in text
    assert text.endswith("key values mismatch")
    installed = await host.certificates.installed("b")
    assert installed is not None
    assert installed.certificate == before
    assert len(host.nginx.reloads) == 2


async def test_next_pass_only_delivers_what_nginx_did_not_take(host: Host) -> None:
    await host.run()
    spoil_next_version(host, "b")
    await host.run(is_forced=True)
    host.nginx.bad_versions.clear()
    host.nginx.at_test = lambda _: None
    reports = await host.run()
    assert outcomes(reports) == {"a": Outcome.UNCHANGED, "b": Outcome.SERVED, "c": Outcome.UNCHANGED}
    assert reports["b"].reason == "installed by an earlier pass, to be delivered"
    assert host.ca.calls == []


async def test_nginx_broken_elsewhere_fails_what_is_new_and_the_next_pass_only_delivers(host: Host) -> None:
    host.nginx.broken = '[emerg] unknown directive "lsiten"'
    reports = await host.run()
    assert outcomes(reports) == dict.fromkeys(NAMES, Outcome.FAILED)
    assert all(
        "unknown directive" in str(one.error) and "it only delivers" in str(one.error) for one in reports.values()
    )
    assert host.nginx.reloads == []
    host.nginx.broken = None
    reports = await host.run()
    assert outcomes(reports) == ALL_SERVED
    assert host.ca.calls == []
    assert len(host.nginx.reloads) == 1


async def test_nginx_that_refuses_the_reload_is_asked_again_next_time(host: Host) -> None:
    host.nginx.refusal = "nginx kept its old workers"
    assert outcomes(await host.run()) == dict.fromkeys(NAMES, Outcome.FAILED)
    host.nginx.refusal = None
    assert outcomes(await host.run()) == ALL_SERVED
    assert host.ca.calls == []


async def test_forced_pass_renews_even_what_is_undelivered(host: Host) -> None:
    host.nginx.refusal = "no"
    await host.run()
    host.nginx.refusal = None
    reports = await host.run(LINEAGES[:1], is_forced=True)
    assert outcomes(reports) == {"a": Outcome.SERVED}
    assert host.ca.calls.count("newOrder") == 1


async def test_undelivered_one_that_is_due_again_is_renewed_and_delivered_in_one_pass(host: Host) -> None:
    host.nginx.broken = '[emerg] unknown directive "lsiten"'
    await host.run()
    host.nginx.broken = None
    changed = replace(LINEAGES[0], identifiers=(dns("a.example"), dns("new.example")))
    reports = await host.run([changed, *LINEAGES[1:]])
    assert outcomes(reports) == ALL_SERVED
    assert reports["a"].certificate is not None
    assert reports["a"].certificate.identifiers == frozenset(changed.identifiers)
    assert (host.ca.calls.count("newOrder"), len(host.nginx.reloads)) == (1, 1)


async def test_undelivered_one_whose_renewal_fails_is_delivered_all_the_same(host: Host) -> None:
    host.nginx.broken = '[emerg] unknown directive "lsiten"'
    await host.run()
    host.nginx.broken = None
    host.ca.refused["a.example"] = None
    reports = await host.run(is_forced=True)
    assert outcomes(reports) == ALL_SERVED | {"a": Outcome.FAILED}
    host.ca.refused.clear()
    again = await host.run()
    assert list(again["a"].seconds) == ["verify"]
    assert len(host.nginx.reloads) == 1


async def test_certificate_that_nginx_does_not_name_is_installed_and_not_served_yet(host: Host) -> None:
    host.nginx.needed.discard("c")
    reports = await host.run()
    assert outcomes(reports) == ALL_SERVED | {"c": Outcome.NOT_SERVED_YET}
    assert "ssl_certificate     /certificates/live/c/fullchain.pem;" in reports["c"].detail
    assert reports["c"].certificate is not None


async def test_not_served_yet_is_verified_again_without_a_reload(host: Host) -> None:
    host.nginx.needed.discard("c")
    await host.run()
    assert outcomes(await host.run()) == {"a": Outcome.UNCHANGED, "b": Outcome.UNCHANGED, "c": Outcome.NOT_SERVED_YET}
    host.nginx.needed.add("c")
    assert (await host.run())["c"].outcome is Outcome.SERVED
    assert (await host.run())["c"].outcome is Outcome.UNCHANGED
    assert len(host.nginx.reloads) == 1


async def test_one_that_nginx_names_and_does_not_serve_fails_alone_until_it_does(host: Host) -> None:
    await host.run()
    host.handshakes.stale["a"] = host.certificates.live["a"]
    reports = await host.run(is_forced=True)
    assert outcomes(reports) == ALL_SERVED | {"a": Outcome.FAILED}
    assert isinstance(reports["a"].error, VerifyError)
    assert outcomes(await host.run(LINEAGES[:1])) == {"a": Outcome.FAILED}
    assert host.ca.calls == []
    host.handshakes.stale.clear()
    assert outcomes(await host.run(LINEAGES[:1])) == {"a": Outcome.SERVED}
    assert len(host.nginx.reloads) == 2


async def test_lost_version_fails_alone(host: Host) -> None:
    host.nginx.refusal = "no"
    await host.run()
    host.nginx.refusal = None
    host.certificates.lost.add("b")
    reports = await host.run()
    assert outcomes(reports) == ALL_SERVED | {"b": Outcome.FAILED}
    assert "has no version" in str(reports["b"].error)


async def test_unreadable_folder_fails_alone(host: Host) -> None:
    await host.run()
    host.certificates.unreadable.add("b")
    reports = await host.run()
    assert outcomes(reports) == {"a": Outcome.UNCHANGED, "b": Outcome.FAILED, "c": Outcome.UNCHANGED}
    assert "Permission denied" in str(reports["b"].error)


async def test_certificate_that_vanishes_before_it_is_verified_is_told(host: Host) -> None:
    def lose(_: int) -> None:
        host.certificates.pairs.pop(("c", host.certificates.live["c"]))

    host.nginx.at_test = lose
    reports = await host.run()
    assert outcomes(reports) == ALL_SERVED | {"c": Outcome.FAILED}
    assert str(reports["c"].error) == (
        "/certificates/live/c holds no usable certificate any more; run renew again to obtain one"
    )


async def test_few_renewals_at_once(host: Host) -> None:
    running, most, many_run = 0, 0, asyncio.Event()

    async def count() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if most == 4:
            many_run.set()
        await many_run.wait()
        for _ in range(50):
            await asyncio.sleep(0)
        running -= 1

    host.ca.at_new_order = count
    many = [Lineage(f"n{number}", (dns(f"n{number}.example"),)) for number in range(7)]
    host.nginx.needed.clear()
    reports = await host.run(many)
    assert {report.outcome for report in reports.values()} == {Outcome.NOT_SERVED_YET}
    assert most == 4


async def test_cancelled_pass_leaves_nothing_published_and_the_next_goes_on(host: Host, nodes: Nodes) -> None:
    answering = asyncio.Event()

    async def wait(_: object) -> None:
        answering.set()
        await asyncio.Event().wait()

    host.ca.at_answer = wait
    running = asyncio.create_task(host.run())
    await answering.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    for one in host.ca.authorizations.values():
        assert one.challenge is not None
        assert await nodes.holding(one.challenge.token) == []
    host.ca.at_answer = None
    assert outcomes(await host.run()) == ALL_SERVED
    assert "newOrder" not in host.ca.calls


async def test_damaged_journal_concerns_everybody(host: Host, folder: Path) -> None:
    with closing(sqlite3.connect(folder / "state.db")) as other:
        other.execute("DROP TABLE deliveries")
    with pytest.raises(JournalError, match="no such table"):
        await host.run()
