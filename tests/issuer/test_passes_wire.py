"""Judging by what is on the wire: checks within an interval, and the previous version when handshakes are refused."""

from dataclasses import replace
from typing import Final

import pytest

from tests.issuer.hosts import LINEAGES, Host, outcomes
from wellkeeper_issuer.records import Event, Notice, Seen
from wellkeeper_issuer.reports import Mode, Outcome, Report
from wellkeeper_node.certificates import reading
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Certificate

ONLY: Final = LINEAGES[:1]
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR


@pytest.fixture
async def host(host: Host) -> Host:
    """Return a host whose nginx needs and serves the certificate `a` only."""
    host.nginx.needed = {"a"}
    await host.run(ONLY)
    return host


async def scheduled(host: Host) -> Report:
    return (await host.run(ONLY, mode=Mode.SCHEDULED))["a"]


async def renewed(host: Host) -> tuple[str, str]:
    """Renew by force and return the version before and the new one, which nginx does not serve yet."""
    before = host.certificates.live["a"]
    written = host.ca.chain
    host.wait(60)

    def refuse(csr_der: bytes) -> bytes:
        chain = written(csr_der)
        host.handshakes.refused.add(_version(chain))
        return chain

    host.ca.chain = refuse
    await host.run(ONLY, is_forced=True)
    host.ca.chain = written
    (after,) = host.handshakes.refused
    return before, after


def _version(chain_pem: bytes) -> str:
    return reading.read_certificate(chain_pem).fingerprint_sha256[:8]


def leaf(host: Host, version: str) -> Certificate:
    return reading.read_certificate(host.certificates.pairs["a"][version].chain_pem)


async def seen(host: Host) -> Seen:
    return (await host.state.deliveries.checks())["a"].seen


async def test_served_certificate_is_verified_again_once_the_interval_is_over(host: Host) -> None:
    host.wait(11 * HOUR)
    checked = (await host.state.deliveries.checks())["a"]
    assert (await scheduled(host)).outcome is Outcome.UNCHANGED
    assert (await host.state.deliveries.checks())["a"] == checked
    host.wait(HOUR)
    report = await scheduled(host)
    assert (report.outcome, list(report.seconds)) == (Outcome.UNCHANGED, ["verify"])
    assert (await host.state.deliveries.checks())["a"] == replace(checked, at=host.clock.now())


async def test_another_certificate_on_the_wire_is_a_failure_until_it_is_gone(host: Host) -> None:
    older = host.certificates.live["a"]
    host.wait(60)
    await host.run(ONLY, is_forced=True)
    host.handshakes.stale["a"] = older
    host.wait(12 * HOUR)
    report = await scheduled(host)
    assert isinstance(report.error, VerifyError)
    assert "nginx does not serve the installed certificate of a" in str(report.error)
    check = (await host.state.deliveries.checks())["a"]
    assert (check.seen, check.leaf_not_after) == (Seen.WRONG, leaf(host, older).not_after)
    assert host.notifications.reported == [(Notice.FAILURE, "a")]
    host.wait(2 * HOUR)
    assert (await scheduled(host)).outcome is Outcome.FAILED
    host.handshakes.stale.clear()
    host.wait(DAY)
    assert (await scheduled(host)).outcome is Outcome.SERVED
    assert await seen(host) is Seen.SERVED
    assert host.notifications.reported[-1][0] is Notice.RECOVERY


async def test_danger_is_reported_by_the_certificate_that_clients_get(host: Host) -> None:
    """The copy that nginx reads expires while each renewal succeeds."""
    older = host.certificates.live["a"]
    host.wait(62 * DAY)
    host.handshakes.stale["a"] = older
    assert (await host.run(ONLY, is_forced=True))["a"].outcome is Outcome.FAILED
    assert [notice for notice, _ in host.notifications.reported] == [Notice.FAILURE]
    host.wait(20 * DAY)
    await scheduled(host)
    assert [notice for notice, _ in host.notifications.reported] == [Notice.FAILURE, Notice.DANGER]


async def test_certificate_that_no_block_uses_any_more_is_a_failure(host: Host) -> None:
    host.nginx.needed.clear()
    host.wait(12 * HOUR)
    report = await scheduled(host)
    assert "nginx no longer serves the certificate of a" in str(report.error)
    hidden = replace(ONLY[0], https_addresses=())
    assert outcomes(await host.run([hidden])) == {"a": Outcome.INSTALLED}
    assert await seen(host) is Seen.HIDDEN


async def test_older_version_that_nginx_reads_from_a_copy_is_a_failure(host: Host) -> None:
    older = host.certificates.live["a"]
    host.wait(60)
    host.handshakes.stale["a"] = older
    host.nginx.names_nothing = True
    report = (await host.run(ONLY, is_forced=True))["a"]
    assert "not at a copy or one version" in str(report.error)


async def test_refused_version_is_left_for_the_previous_one_after_three_tries(host: Host) -> None:
    host.hooks.events = {Event.DEPLOY}
    slept = len(host.clock.slept)
    before, after = await renewed(host)
    assert host.certificates.live["a"] == before
    assert host.nginx.reloads[-1] == {"a": before}
    assert host.clock.slept[slept:].count(5.0) == 2
    failure = await host.state.schedules.read_failure("a")
    assert failure is not None
    assert f"nginx refuses TLS handshakes with version {after} of a, so {before} is live again" in failure.message
    assert host.hooks.ran == []
    check = (await host.state.deliveries.checks())["a"]
    assert (check.served_version, check.returned_from) == (before, after)


async def test_refused_version_stays_away_from_scheduled_passes_and_is_no_reason_to_order(host: Host) -> None:
    before, after = await renewed(host)
    reloads = len(host.nginx.reloads)
    host.wait(HOUR)
    report = await scheduled(host)
    assert f"version {before} of a stays live" in str(report.error)
    assert (host.certificates.live["a"], len(host.nginx.reloads)) == (before, reloads)
    assert host.ca.calls == []
    host.wait(60 * HOUR)
    host.handshakes.refused.clear()
    assert (await scheduled(host)).outcome is Outcome.SERVED
    assert host.certificates.live["a"] not in {before, after}


async def test_person_tries_a_refused_version_again_and_it_is_not_left_twice(host: Host) -> None:
    _, after = await renewed(host)
    assert (await host.run(ONLY))["a"].outcome is Outcome.FAILED
    assert host.certificates.live["a"] == after
    host.handshakes.refused.clear()
    assert (await host.run(ONLY))["a"].outcome is Outcome.SERVED
    assert host.certificates.live["a"] == after


async def test_refusal_that_passes_within_ten_seconds_changes_nothing(host: Host) -> None:
    version = host.certificates.live["a"]
    host.wait(12 * HOUR)
    host.handshakes.refused.add(version)
    host.handshakes.refusals = 2
    assert (await scheduled(host)).outcome is Outcome.UNCHANGED
    assert host.certificates.live["a"] == version


async def test_served_version_that_is_refused_later_is_left_as_well(host: Host) -> None:
    before = host.certificates.live["a"]
    host.wait(60)
    await host.run(ONLY, is_forced=True)
    host.handshakes.refused.add(host.certificates.live["a"])
    host.wait(12 * HOUR)
    assert (await scheduled(host)).outcome is Outcome.FAILED
    assert host.certificates.live["a"] == before


@pytest.mark.parametrize("reason", ["expired", "revoked", "disowned", "first"])
async def test_previous_version_that_must_not_be_served_stays_away(host: Host, reason: str) -> None:
    match reason:
        case "expired":
            host.wait(91 * DAY)
        case "revoked":
            await host.certificates.mark_revoked("a")
        case "disowned":
            await host.certificates.disown_key("a")
        case _:
            await host.state.forget_lineage("a")
            host.certificates.live.clear()
            host.certificates.pairs.clear()
            await host.run(ONLY)
            host.handshakes.refused.add(host.certificates.live["a"])
            host.wait(12 * HOUR)
            assert (await scheduled(host)).outcome is Outcome.FAILED
            assert host.certificates.live["a"] in host.handshakes.refused
            return
    _, after = await renewed(host)
    assert host.certificates.live["a"] == after


async def test_expired_previous_version_gives_way_to_the_refused_one(host: Host) -> None:
    before, after = await renewed(host)
    host.wait(91 * DAY)
    host.handshakes.refused.clear()
    await scheduled(host)
    assert host.certificates.live["a"] not in {before}
    assert after


async def test_refused_version_is_live_when_the_previous_one_is_lost(host: Host) -> None:
    before, after = await renewed(host)
    host.certificates.live.clear()
    del host.certificates.pairs["a"][before]
    host.handshakes.refused.clear()
    host.wait(HOUR)
    assert (await scheduled(host)).outcome is Outcome.SERVED
    assert host.certificates.live["a"] == after
