"""A journal that was lost: what is installed is delivered again, and not obtained again."""

import asyncio

from tests.issuer.hosts import ALL_SERVED, LINEAGES, NAMES, Host, outcomes
from wellkeeper_issuer.reports import Outcome


async def forget_everything(host: Host) -> None:
    for name in NAMES:
        await host.state.forget_lineage(name)


async def test_what_is_installed_is_delivered_once_more_and_the_ca_is_not_asked(host: Host) -> None:
    await host.run()
    await forget_everything(host)
    reports = await host.run()
    assert outcomes(reports) == ALL_SERVED
    assert {one.reason for one in reports.values()} == {"installed, but missing in the state; not delivered yet"}
    assert host.ca.calls == []
    assert len(host.nginx.reloads) == 2
    assert outcomes(await host.run()) == dict.fromkeys(NAMES, Outcome.UNCHANGED)
    assert len(host.nginx.reloads) == 2


async def test_what_nginx_does_not_take_stays_to_be_delivered(host: Host) -> None:
    await host.run()
    await forget_everything(host)
    host.nginx.broken = '[emerg] unknown directive "lsiten"'
    assert outcomes(await host.run()) == dict.fromkeys(NAMES, Outcome.FAILED)
    host.nginx.broken = None
    assert outcomes(await host.run()) == ALL_SERVED
    assert host.ca.calls == []


async def test_forced_renewal_of_what_the_journal_does_not_know_replaces_it(host: Host) -> None:
    before = (await host.run())["a"].certificate
    await forget_everything(host)
    report = (await host.run(LINEAGES[:1], is_forced=True))["a"]
    assert report.outcome is Outcome.SERVED
    assert report.certificate != before
    assert await host.state.deliveries.undelivered() == {}


async def test_what_cannot_be_read_fails_alone(host: Host) -> None:
    await host.run()
    await forget_everything(host)
    host.certificates.unreadable.add("b")
    assert outcomes(await host.run()) == ALL_SERVED | {"b": Outcome.FAILED}
    assert host.ca.calls == []


async def test_what_a_pass_beside_this_one_obtained_first_is_not_delivered_again(host: Host) -> None:
    first, second = await asyncio.gather(host.run(), host.run())
    assert [outcomes(first), outcomes(second)] == [ALL_SERVED, dict.fromkeys(NAMES, Outcome.UNCHANGED)]
    assert len(host.nginx.reloads) == 1
