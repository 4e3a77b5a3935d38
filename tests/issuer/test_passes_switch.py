"""A version that is installed, but cannot be made live: it is delivered once that works, and never ordered again."""

from dataclasses import replace

import pytest

from tests.fakes import FakeClock
from tests.issuer.hosts import LINEAGES, Host, outcomes
from tests.node.nodes import Nodes
from wellkeeper_issuer.reports import Mode, Outcome

WEB = LINEAGES[:1]


@pytest.fixture(name="host")
def _host(host: Host) -> Host:
    """Its nginx names that certificate only."""
    host.nginx.needed = {"a"}
    return host


async def orders_of(host: Host, passes: int, mode: Mode = Mode.RETRY) -> list[int]:
    found = []
    for _ in range(passes):
        report = (await host.run(WEB, mode=mode))["a"]
        assert report.outcome is Outcome.FAILED
        assert "cannot use /certificates/live/a" in str(report.error)
        found.append(host.ca.calls.count("newOrder"))
    return found


@pytest.mark.parametrize("mode", [Mode.RETRY, Mode.FORCED])
async def test_first_certificate_that_cannot_be_made_live_is_ordered_once(host: Host, mode: Mode) -> None:
    host.certificates.stuck.add("a")
    assert await orders_of(host, 5, mode) == [1, 0, 0, 0, 0]
    host.certificates.stuck.clear()
    assert outcomes(await host.run(WEB)) == {"a": Outcome.SERVED}
    assert host.ca.calls == []


async def test_renewal_that_cannot_be_made_live_is_ordered_once(host: Host, clock: FakeClock, nodes: Nodes) -> None:
    before = (await host.run(WEB))["a"].certificate
    for one in (clock, nodes):
        one.advance(70 * 86_400)
    host.certificates.stuck.add("a")
    assert await orders_of(host, 5) == [1, 0, 0, 0, 0]
    host.certificates.stuck.clear()
    report = (await host.run(WEB))["a"]
    assert (report.outcome, host.ca.calls) == (Outcome.SERVED, [])
    assert report.certificate != before


async def test_version_that_could_not_be_made_live_for_days_is_delivered_as_it_is(
    host: Host, clock: FakeClock, nodes: Nodes
) -> None:
    await host.run(WEB)
    host.certificates.stuck.add("a")
    await host.run(WEB, is_forced=True)
    for one in (clock, nodes):
        one.advance(4 * 86_400)
    host.certificates.stuck.clear()
    assert outcomes(await host.run(WEB)) == {"a": Outcome.SERVED}
    assert host.ca.calls == []


@pytest.mark.parametrize("mode", [Mode.RETRY, Mode.FORCED])
async def test_ca_is_not_asked_while_nothing_can_be_made_live(host: Host, mode: Mode) -> None:
    host.certificates.stuck.add("a")
    host.certificates.is_proof_wrong = False
    reports = [await host.run(WEB, mode=mode) for _ in range(2)]
    assert [outcomes(one) for one in reports] == [{"a": Outcome.FAILED}] * 2
    assert (host.ca.calls, host.hooks.ran) == ([], [])


async def test_other_certificates_are_served_beside_one_that_cannot_be_made_live(host: Host) -> None:
    host.nginx.needed = {"b", "c"}
    host.certificates.stuck.add("a")
    assert outcomes(await host.run()) == {"a": Outcome.FAILED, "b": Outcome.SERVED, "c": Outcome.SERVED}


async def test_issued_certificate_is_installed_without_a_proof(host: Host) -> None:
    host.certificates.full_disk_for.add("a")
    assert outcomes(await host.run(WEB)) == {"a": Outcome.FAILED}
    host.certificates.full_disk_for.clear()
    assert outcomes(await host.run([replace(WEB[0])])) == {"a": Outcome.SERVED}
    assert host.ca.calls == []
