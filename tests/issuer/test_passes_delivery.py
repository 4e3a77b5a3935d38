"""Passes whose new certificates nginx rejects, and the next pass."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.fakes_obtain import FakeReadBacks
from tests.issuer.hosts import ALL_SERVED, LINEAGES, NAMES, Host, outcomes
from tests.node.nodes import Nodes
from wellkeeper_issuer.obtain.publish import ReadBacks
from wellkeeper_issuer.reports import Mode, Outcome
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.model import Answer, ReadBack


def spoil_next_version(host: Host, name: str) -> None:
    """Make nginx reject the next installed version."""
    before = host.certificates.live.get(name)

    def spoil(_: int) -> None:
        if host.certificates.live.get(name) not in {None, before}:
            host.nginx.bad_versions.add(host.certificates.live[name])

    host.nginx.at_test = spoil


async def test_rejected_certificate_fails_alone_and_is_rolled_back(host: Host) -> None:
    before = (await host.run())["b"].certificate
    spoil_next_version(host, "b")
    reports = await host.run(is_forced=True)
    assert outcomes(reports) == ALL_SERVED | {"b": Outcome.FAILED}
    assert isinstance(reports["b"].error, ReloadError)
    text = str(reports["b"].error)
    assert text.startswith("nginx rejects version ")
    assert "of b, which was rolled back to " in text
    assert "key values mismatch. Check its server block" in text
    installed = await host.certificates.installed("b")
    assert installed is not None
    assert installed.certificate == before
    assert len(host.nginx.reloads) == 2


@pytest.mark.parametrize(
    ("count", "words"),
    [(1, ", 1 old worker still finishes requests"), (2, ", 2 old workers still finish requests"), (0, "accepting")],
)
async def test_old_workers_that_still_finish_requests_are_only_reported(host: Host, count: int, words: str) -> None:
    host.nginx.finishing_count = count
    assert outcomes(await host.run()) == ALL_SERVED
    (reported,) = (line for line in host.progress.lines if "reload finished" in line)
    assert reported.endswith(words)


async def test_next_pass_only_delivers_the_rejected_certificate(host: Host) -> None:
    await host.run()
    spoil_next_version(host, "b")
    await host.run(is_forced=True)
    host.nginx.bad_versions.clear()
    host.nginx.at_test = lambda _: None
    reports = await host.run()
    assert outcomes(reports) == {"a": Outcome.UNCHANGED, "b": Outcome.SERVED, "c": Outcome.UNCHANGED}
    assert reports["b"].reason == "installed by an earlier pass, not delivered yet"
    assert host.ca.calls == []


async def test_fault_elsewhere_in_nginx_fails_new_certificates_and_the_next_pass_only_delivers(host: Host) -> None:
    host.nginx.broken = '[emerg] unknown directive "lsiten"'
    reports = await host.run()
    assert outcomes(reports) == dict.fromkeys(NAMES, Outcome.FAILED)
    assert all(
        "unknown directive" in str(one.error) and "with the previous certificates too" in str(one.error)
        for one in reports.values()
    )
    assert host.nginx.reloads == []
    host.nginx.broken = None
    reports = await host.run()
    assert outcomes(reports) == ALL_SERVED
    assert host.ca.calls == []
    assert len(host.nginx.reloads) == 1


async def test_refused_reload_is_retried_in_the_next_pass(host: Host) -> None:
    host.nginx.refusal = "nginx kept its old workers"
    assert outcomes(await host.run()) == dict.fromkeys(NAMES, Outcome.FAILED)
    host.nginx.refusal = None
    assert outcomes(await host.run()) == ALL_SERVED
    assert host.ca.calls == []


async def test_forced_pass_renews_even_undelivered_certificates(host: Host) -> None:
    host.nginx.refusal = "no"
    await host.run()
    host.nginx.refusal = None
    reports = await host.run(LINEAGES[:1], is_forced=True)
    assert outcomes(reports) == {"a": Outcome.SERVED}
    assert host.ca.calls.count("newOrder") == 1


async def test_lost_version_without_a_live_one_is_obtained_again(host: Host) -> None:
    host.nginx.refusal = "no"
    await host.run()
    host.nginx.refusal = None
    version = host.certificates.live.pop("b")
    host.certificates.lost.add(("b", version))
    del host.certificates.pairs["b"][version]
    reports = await host.run()
    assert outcomes(reports) == ALL_SERVED
    assert host.ca.calls.count("newOrder") == 1
    assert host.certificates.live["b"] != version


async def test_undelivered_certificate_that_is_due_again_is_renewed_and_delivered_in_one_pass(host: Host) -> None:
    host.nginx.broken = '[emerg] unknown directive "lsiten"'
    await host.run()
    host.nginx.broken = None
    changed = replace(LINEAGES[0], identifiers=(dns("a.example"), dns("new.example")))
    reports = await host.run([changed, *LINEAGES[1:]])
    assert outcomes(reports) == ALL_SERVED
    assert reports["a"].certificate is not None
    assert reports["a"].certificate.identifiers == frozenset(changed.identifiers)
    assert (host.ca.calls.count("newOrder"), len(host.nginx.reloads)) == (1, 1)


async def test_undelivered_certificate_is_delivered_even_when_its_renewal_fails(host: Host) -> None:
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


async def test_version_rejected_for_days_is_replaced_before_the_old_one_expires(
    host: Host, clock: FakeClock, nodes: Nodes
) -> None:
    await host.run()
    spoil_next_version(host, "b")
    await host.run(is_forced=True)
    host.nginx.at_test = lambda _: None
    orders = []
    for _ in range(6):
        for one in (clock, nodes):
            one.advance(24 * 3600)
        await host.run()
        orders.append(host.ca.calls.count("newOrder"))
    assert orders == [0, 0, 1, 0, 0, 0]
    assert outcomes(await host.run()) == dict.fromkeys(NAMES, Outcome.UNCHANGED)


async def test_lost_version_fails_alone(host: Host) -> None:
    host.nginx.refusal = "no"
    await host.run()
    host.nginx.refusal = None
    host.certificates.lost.add(("b", host.certificates.live["b"]))
    reports = await host.run()
    assert outcomes(reports) == ALL_SERVED | {"b": Outcome.FAILED}
    assert "does not have version" in str(reports["b"].error)


async def test_nothing_is_ordered_while_nginx_could_not_be_reloaded(host: Host) -> None:
    host.nginx.unreachable = "nginx is not running"
    reports = await host.run()
    assert set(outcomes(reports).values()) == {Outcome.FAILED}
    assert host.ca.orders == {}
    host.nginx.unreachable = None
    assert outcomes(await host.run()) == ALL_SERVED


async def test_certificate_that_soon_expires_is_renewed_though_nginx_is_stopped(host: Host) -> None:
    await host.run()
    host.nginx.unreachable = "nginx is not running"
    host.clock.advance(89 * 86_400)
    before = len(host.ca.orders)
    await host.run()
    assert len(host.ca.orders) > before


async def test_revoked_certificate_is_replaced_though_nginx_is_stopped(host: Host) -> None:
    await host.run()
    host.nginx.unreachable = "nginx is not running"
    before = len(host.ca.orders)
    await host.run(mode=Mode.REVOKED)
    assert len(host.ca.orders) == before + len(NAMES)
    assert any("(ordering anyway: the certificate must be replaced)" in line for line in host.progress.lines)


class OtherNodes:
    """`ports.node.RemoteReadBacks` of nodes that have every token."""

    def has_nodes(self) -> bool:
        return True

    async def failures(self, answers: Sequence[Answer], without: Collection[str] = ()) -> Sequence[ReadBack]:
        assert (len(answers), without) == (1, {"web3"})
        return ()


async def test_other_nodes_get_certificates_though_nginx_here_is_stopped(host: Host) -> None:
    probes, renewals = FakeReadBacks(), host.passes.renewals
    read_backs = ReadBacks(host.nodes.nodes, probes, host.progress, None, OtherNodes())
    passes = replace(host.passes, renewals=replace(renewals, read_backs=read_backs))
    host.nginx.unreachable = "nginx is not running"
    lineages = [replace(one, without_nodes=frozenset({"web3"})) for one in LINEAGES]
    await replace(host, passes=passes).run(lineages)
    assert len(host.ca.orders) == len(NAMES)
    assert any("(ordering anyway: other nodes wait for the certificate)" in line for line in host.progress.lines)
