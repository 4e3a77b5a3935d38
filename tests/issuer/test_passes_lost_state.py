"""A lost journal: installed certificates are delivered again, not obtained again."""

import asyncio

from tests.issuer.hosts import ALL_SERVED, LINEAGES, NAMES, Host, outcomes
from wellkeeper_issuer.reports import Outcome


async def forget_everything(host: Host) -> None:
    for name in NAMES:
        await host.state.forget_lineage(name)


async def test_installed_certificates_are_delivered_again_without_asking_the_ca(host: Host) -> None:
    await host.run()
    await forget_everything(host)
    reports = await host.run()
    assert outcomes(reports) == ALL_SERVED
    assert {one.reason for one in reports.values()} == {"installed, but missing in the state; not delivered yet"}
    assert host.ca.calls == []
    assert len(host.nginx.reloads) == 2
    assert outcomes(await host.run()) == dict.fromkeys(NAMES, Outcome.UNCHANGED)
    assert len(host.nginx.reloads) == 2


async def test_rejected_certificate_stays_undelivered(host: Host) -> None:
    await host.run()
    await forget_everything(host)
    host.nginx.broken = '[emerg] unknown directive "lsiten"'
    assert outcomes(await host.run()) == dict.fromkeys(NAMES, Outcome.FAILED)
    host.nginx.broken = None
    assert outcomes(await host.run()) == ALL_SERVED
    assert host.ca.calls == []


async def test_forced_renewal_replaces_a_certificate_missing_in_the_journal(host: Host) -> None:
    before = (await host.run())["a"].certificate
    await forget_everything(host)
    report = (await host.run(LINEAGES[:1], is_forced=True))["a"]
    assert report.outcome is Outcome.SERVED
    assert report.certificate != before
    assert await host.state.deliveries.undelivered() == {}


async def test_unreadable_certificate_fails_alone(host: Host) -> None:
    await host.run()
    await forget_everything(host)
    host.certificates.unreadable.add("b")
    assert outcomes(await host.run()) == ALL_SERVED | {"b": Outcome.FAILED}
    assert host.ca.calls == []


async def test_certificate_obtained_by_a_concurrent_pass_is_not_delivered_again(host: Host) -> None:
    first, second = await asyncio.gather(host.run(), host.run())
    assert [outcomes(first), outcomes(second)] == [ALL_SERVED, dict.fromkeys(NAMES, Outcome.UNCHANGED)]
    assert len(host.nginx.reloads) == 1
