"""Passes on certificates that another ACME client obtains."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.issuer.hosts import Host
from wellkeeper_issuer.external import make_attempt
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.records import Notice
from wellkeeper_issuer.reports import Mode, Outcome, Report

NAMES = (dns("a.example"),)
EXTERNAL = Lineage("a", NAMES, is_external=True)


@pytest.fixture(autouse=True)
def only_one(host: Host) -> None:
    host.nginx.needed = {"a"}


async def deliver(host: Host, lineage: Lineage = EXTERNAL) -> Report:
    await host.state.attempts.record_attempt(make_attempt("a", FakeCa(host.clock.now()).pair(*lineage.identifiers)))
    return await run(host)


async def run(host: Host, mode: Mode = Mode.RETRY) -> Report:
    host.ca.calls.clear()
    (report,) = await host.passes.run([EXTERNAL], mode)
    assert host.ca.calls == []
    return report


async def test_delivered_certificate_is_installed_reloaded_and_verified_and_never_ordered(host: Host) -> None:
    report = await deliver(host)
    assert (report.outcome, report.reason) == (
        Outcome.SERVED,
        "another client delivered a certificate that is not installed yet",
    )
    for mode in (Mode.SCHEDULED, Mode.RETRY, Mode.FORCED, Mode.REVOKED):
        again = await run(host, mode)
        assert (again.outcome, again.reason) == (Outcome.UNCHANGED, "another client renews it"), mode
    assert len(host.nginx.reloads) == 1
    assert host.infos.asked == []


async def test_renewal_with_a_test_ca_leaves_it_as_it_is(host: Host) -> None:
    await deliver(host)
    staging = replace(host.passes, renewals=replace(host.passes.renewals, is_staging=True))
    (report,) = await staging.run([EXTERNAL], Mode.RETRY)
    assert (report.outcome, report.error) == (Outcome.UNCHANGED, None)


async def test_nothing_is_ordered_before_the_first_delivery_or_with_other_names(host: Host) -> None:
    assert (await run(host, Mode.FORCED)).outcome is Outcome.UNCHANGED
    await deliver(host)
    (report,) = await host.passes.run([replace(EXTERNAL, identifiers=(dns("b.example"),))], Mode.RETRY)
    assert report.outcome is Outcome.UNCHANGED


async def test_refused_certificate_is_rolled_back_and_tried_again_but_not_replaced_by_an_order(host: Host) -> None:
    await deliver(host)
    before = set(host.certificates.pairs["a"])
    host.nginx.at_test = lambda _: host.nginx.bad_versions.update(host.certificates.pairs["a"].keys() - before)
    host.clock.advance(60)
    assert (await deliver(host)).outcome is Outcome.FAILED
    assert host.certificates.live["a"] in before
    host.clock.advance(timedelta(days=3).total_seconds())
    assert (await run(host)).outcome is Outcome.FAILED
    host.nginx.bad_versions.clear()
    host.nginx.at_test = lambda _: None
    assert (await run(host)).outcome is Outcome.SERVED
    assert host.certificates.live["a"] not in before


async def test_danger_is_notified_when_nothing_newer_is_delivered(host: Host) -> None:
    await deliver(host)
    for days, notices in ((61, []), (20, [Notice.DANGER])):
        host.clock.advance(timedelta(days=days).total_seconds())
        await run(host, Mode.SCHEDULED)
        assert [notice for notice, *_ in host.notifications.reported] == notices
    await deliver(host)
    await run(host, Mode.SCHEDULED)
    assert host.notifications.reported[-1][0] is Notice.RECOVERY


@pytest.mark.parametrize("is_recorded", [False, True])
async def test_lost_files_are_restored_from_the_archive(host: Host, is_recorded: bool) -> None:
    await deliver(host)
    version = host.certificates.live.pop("a")
    if not is_recorded:
        await host.state.forget_lineage("a")
    assert (await run(host)).outcome is Outcome.SERVED
    assert host.certificates.live["a"] == version
