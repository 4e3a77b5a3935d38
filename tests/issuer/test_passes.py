"""One pass over several certificates: separate failures, joint delivery, and the next pass."""

import asyncio
import logging
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import run_tasks_until
from tests.fakes_deliver import dns
from tests.issuer.hosts import ALL_SERVED, LINEAGES, NAMES, Host, outcomes
from tests.node.nodes import Nodes
from wellkeeper_issuer.errors import ChallengeError, JournalError
from wellkeeper_issuer.model import Challenge, Lineage
from wellkeeper_issuer.reports import Mode, Outcome
from wellkeeper_node.errors import VerifyError


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


async def test_failed_certificate_does_not_stop_the_others(host: Host) -> None:
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


async def test_defect_while_verifying_does_not_stop_the_others(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.handshakes.defect_for = "a"
    with caplog.at_level(logging.ERROR):
        reports = await host.run()
    assert outcomes(reports) == ALL_SERVED | {"a": Outcome.FAILED}
    assert "certificate a: unexpected error" in caplog.text


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


async def test_certificate_that_nginx_names_but_does_not_serve_fails_alone(host: Host) -> None:
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


async def test_unreadable_directory_fails_alone(host: Host) -> None:
    await host.run()
    host.certificates.unreadable.add("b")
    reports = await host.run()
    assert outcomes(reports) == {"a": Outcome.UNCHANGED, "b": Outcome.FAILED, "c": Outcome.UNCHANGED}
    assert "Permission denied" in str(reports["b"].error)


async def test_certificate_that_vanishes_before_it_is_verified_is_reported(host: Host) -> None:
    def lose(_: int) -> None:
        host.certificates.pairs["c"].pop(host.certificates.live["c"])

    host.nginx.at_test = lose
    reports = await host.run()
    assert outcomes(reports) == ALL_SERVED | {"c": Outcome.FAILED}
    assert str(reports["c"].error) == (
        "cannot verify the certificate of c: /certificates/live/c no longer holds a usable certificate."
        " Run 'wellkeeper renew c' to obtain one."
    )


async def test_renewal_info_of_a_new_certificate_is_asked_while_nginx_reloads(host: Host) -> None:
    async def wait_for_the_reload() -> None:
        await run_tasks_until(lambda: bool(host.nginx.reloads))

    host.infos.at_ask = wait_for_the_reload
    assert outcomes(await host.run()) == ALL_SERVED
    assert len(host.infos.asked) == 3
    assert await host.state.schedules.read_schedule("a") is not None


async def test_at_most_eight_renewals_run_at_once(host: Host) -> None:
    gate, waiting = asyncio.Event(), []

    async def wait() -> None:
        waiting.append(1)
        await gate.wait()

    host.ca.at_new_order = wait
    many = [Lineage(f"n{number}", (dns(f"n{number}.example"),)) for number in range(11)]
    host.nginx.needed.clear()
    running = asyncio.create_task(host.run(many))
    await run_tasks_until(lambda: len(waiting) == 8)
    assert sum(line.endswith("order started") for line in host.progress.lines) == 8
    gate.set()
    assert {report.outcome for report in (await running).values()} == {Outcome.NOT_SERVED_YET}
    assert len(waiting) == 11


async def test_staging_certificate_never_replaces_a_trusted_one(host: Host) -> None:
    assert outcomes(await host.run()) == ALL_SERVED
    before = dict(host.certificates.live)
    host.ca.directory_url = "https://staging.example/directory"
    renewals = replace(host.passes.renewals, is_staging=True)
    reports = await replace(host, passes=replace(host.passes, renewals=renewals)).run()
    assert outcomes(reports) == dict.fromkeys(ALL_SERVED, Outcome.FAILED)
    assert re.match("refused to replace .* with a test certificate: ", str(reports["a"].error))
    assert "clients do not trust those of --staging. Add --force to replace it anyway" in str(reports["a"].error)
    assert host.certificates.live == before


async def test_cancelled_pass_waits_for_its_slowest_certificate(host: Host, nodes: Nodes) -> None:
    answering: list[object] = []

    async def wait(challenge: object) -> None:
        answering.append(challenge)
        await asyncio.Event().wait()

    host.ca.at_answer = wait
    large = Lineage("large", tuple(dns(f"n{number}.example") for number in range(20)))
    running = asyncio.create_task(host.run([Lineage("small", (dns("small.example"),)), large]))
    await run_tasks_until(lambda: len(answering) == 21)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    # The caller closes connections and journal now.
    left = [task for task in asyncio.all_tasks() if "Passes.run" in repr(task)]
    assert left == []
    published = [one.challenge.token for one in host.ca.authorizations.values() if one.challenge]
    assert len(published) == 21
    assert [token for token in published if await nodes.holding(token)] == []


async def test_cancelled_pass_leaves_nothing_published_and_the_next_resumes(host: Host, nodes: Nodes) -> None:
    answering: list[object] = []

    async def wait(challenge: object) -> None:
        answering.append(challenge)
        await asyncio.Event().wait()

    host.ca.at_answer = wait
    running = asyncio.create_task(host.run())
    await run_tasks_until(lambda: len(answering) == len(NAMES))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    for one in host.ca.authorizations.values():
        assert one.challenge is not None
        assert await nodes.holding(one.challenge.token) == []
    host.ca.at_answer = None
    assert outcomes(await host.run()) == ALL_SERVED
    assert "newOrder" not in host.ca.calls


@pytest.mark.parametrize("table", ["deliveries", "failures"])
async def test_damaged_journal_ends_the_pass(host: Host, folder: Path, table: str) -> None:
    with closing(sqlite3.connect(folder / "state.db")) as other:
        other.execute(f"DROP TABLE {table}")
    with pytest.raises(JournalError, match=f"no such table: {table}"):
        await host.run(mode=Mode.SCHEDULED)
    assert host.ca.calls == []
