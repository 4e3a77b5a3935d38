"""After a pass: waits after failures and for limits, hooks, and notifications."""

import asyncio
import logging
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes_deliver import dns
from tests.issuer.hosts import ALL_SERVED, LINEAGES, NAMES, Host, outcomes
from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import HookError, OrderError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.limits import Limits
from wellkeeper_issuer.records import Blocked, Event, Limit, Notice, RenewalInfo, Scope, Spent, Window
from wellkeeper_issuer.reports import Mode, Outcome
from wellkeeper_node.errors import PublishError
from wellkeeper_node.model import KeyType, Problem

REFUSED = Problem("urn:ietf:params:acme:error:connection", "timeout")
ONE_ORDER = Limit(Spent.ORDER, Scope.ACCOUNT, 2, 3600.0)


async def fail(host: Host) -> None:
    """Make `b` fail once."""
    await host.run()
    host.ca.refused["b.example"] = REFUSED
    reports = await host.run(is_forced=True)
    assert outcomes(reports) == ALL_SERVED | {"b": Outcome.FAILED}


async def test_failed_certificate_waits_unless_requested(host: Host) -> None:
    await fail(host)
    reports = await host.run(mode=Mode.SCHEDULED)
    assert outcomes(reports) == dict.fromkeys(NAMES, Outcome.UNCHANGED) | {"b": Outcome.WAITING}
    assert (reports["b"].error, host.ca.calls) == (None, [])
    assert reports["b"].next_try_at is not None
    assert timedelta(seconds=58) < reports["b"].next_try_at - host.clock.now() <= timedelta(minutes=1)
    assert "it failed once (validate: the CA did not accept b.example: connection: timeout" in reports["b"].reason
    assert "'wellkeeper renew b' retries now" in reports["b"].reason
    assert reports["b"].certificate is not None


async def test_failure_is_retried_after_its_wait_and_forgotten_after_success(host: Host) -> None:
    await fail(host)
    host.wait(61)
    assert outcomes(await host.run(mode=Mode.SCHEDULED))["b"] is Outcome.UNCHANGED
    assert await host.state.schedules.read_failures() == {}


async def test_failures_in_a_row_are_counted_and_wait_longer(host: Host) -> None:
    host.ca.refused["a.example"] = REFUSED
    waits = []
    for _ in range(4):
        report = (await host.run(LINEAGES[:1]))["a"]
        assert report.next_try_at is not None
        waits.append(report.next_try_at - host.clock.now())
    assert waits == sorted(waits)
    assert waits[0] == timedelta(minutes=1)
    assert waits[3] > timedelta(hours=12)
    assert (await host.state.schedules.read_failures())["a"].count == 4


async def test_certificate_deferred_by_limits_waits_without_a_failure(host: Host) -> None:
    host.nginx.needed.clear()
    host.authorities.limited[host.ca.directory_url] = (ONE_ORDER,)
    reports = await host.run(mode=Mode.SCHEDULED)
    assert list(outcomes(reports).values()).count(Outcome.WAITING) == 2
    waiting = next(one for one in reports.values() if one.outcome is Outcome.WAITING)
    assert "the last one is held in reserve" in waiting.reason
    assert waiting.next_try_at is not None
    assert timedelta(minutes=59) < waiting.next_try_at - host.clock.now() <= timedelta(hours=1)
    assert (await host.state.schedules.read_failures(), host.notifications.reported) == ({}, [])
    # The limits are not computed again before that time.
    assert "not asked before" in (await host.run(mode=Mode.SCHEDULED))[waiting.lineage].reason
    assert outcomes(await host.run([lineage(waiting.lineage)], is_forced=True)) == {
        waiting.lineage: Outcome.NOT_SERVED_YET
    }


def lineage(name: str) -> Lineage:
    return next(one for one in LINEAGES if one.name == name)


async def test_rejected_certificate_counts_against_limits_too(host: Host) -> None:
    host.authorities.limited[host.ca.directory_url] = (Limit(Spent.CERTIFICATE, Scope.EXACT_SET, 5, 604_800.0),)
    of_another_key = pki.make_csr(pki.make_certificate_key(KeyType.ECDSA_P256), LINEAGES[0].identifiers)
    host.ca.chain = lambda _: host.ca.root.chain(of_another_key)
    results = [outcomes(await host.run(LINEAGES[:1]))["a"] for _ in range(6)]
    assert results == [Outcome.FAILED] * 4 + [Outcome.WAITING] * 2
    assert len(host.ca.orders) == 4


async def test_renewal_inside_its_window_is_exempt_and_names_its_predecessor(host: Host) -> None:
    host.nginx.needed = {"a"}
    now = host.clock.now()
    host.infos.answer = RenewalInfo(Window(now + timedelta(hours=7), now + timedelta(hours=9)))
    await host.run(LINEAGES[:1])
    host.authorities.limited[host.ca.directory_url] = (replace(ONE_ORDER, count=1),)
    await host.run(LINEAGES[:1], mode=Mode.SCHEDULED)
    assert host.ca.replaced == [None]
    host.wait(8.5 * 3600)
    assert outcomes(await host.run(LINEAGES[:1], mode=Mode.SCHEDULED)) == {"a": Outcome.SERVED}
    assert host.ca.replaced[1] is not None
    values = await host.state.ledger.read_values(host.ca.directory_url, now)
    assert [(one[3], one[4]) for one in values] == [(0, 1)]


async def test_hooks_run_around_a_pass_and_for_each_loaded_certificate(host: Host) -> None:
    host.hooks.events = set(Event)
    await host.run()
    events = [event for event, _ in host.hooks.ran]
    assert (events[0], events[-1]) == (Event.PRE, Event.POST)
    assert events[1:-1] == [Event.DEPLOY] * 3
    deployed = {about.lineages[0]: about for event, about in host.hooks.ran if event is Event.DEPLOY}
    assert deployed["a"].live_path == "/certificates/live/a"
    assert deployed["a"].identifiers == (dns("a.example"),)
    host.hooks.ran.clear()
    await host.run()
    assert host.hooks.ran == []


async def test_post_hook_gets_the_renewed_and_the_failed_names(host: Host) -> None:
    host.hooks.events, host.hooks.failing = {Event.POST, Event.DEPLOY}, {Event.DEPLOY}
    host.nginx.needed = {"a"}
    host.ca.refused["b.example"] = None
    await host.run(LINEAGES[:2])
    about = host.hooks.ran[-1][1]
    # A certificate whose deploy hook failed was renewed.
    assert (about.renewed, about.failed) == ((dns("a.example"),), (dns("b.example"),))


async def test_hook_runs_once_nginx_has_loaded_a_certificate_that_it_does_not_serve(host: Host) -> None:
    host.nginx.needed = {"a"}
    host.hooks.events = {Event.DEPLOY}
    await host.run(LINEAGES[:1])
    host.handshakes.stale["a"] = host.certificates.live["a"]
    host.hooks.ran.clear()
    assert outcomes(await host.run(LINEAGES[:1], is_forced=True)) == {"a": Outcome.FAILED}
    await host.run(LINEAGES[:1])
    assert [event for event, _ in host.hooks.ran] == [Event.DEPLOY]


async def test_certificate_that_nothing_here_serves_is_installed_and_not_worked_on_again(host: Host) -> None:
    host.nginx.needed = set()
    host.hooks.events = {Event.DEPLOY}
    only = [replace(LINEAGES[0], https_addresses=())]
    assert outcomes(await host.run(only)) == {"a": Outcome.INSTALLED}
    assert [event for event, _ in host.hooks.ran] == [Event.DEPLOY]
    assert outcomes(await host.run(only)) == {"a": Outcome.UNCHANGED}


async def test_failed_deploy_hook_fails_the_pass_and_runs_again(host: Host) -> None:
    host.nginx.needed = {"a"}
    host.hooks.events, host.hooks.failing = {Event.DEPLOY}, {Event.DEPLOY}
    reports = await host.run(LINEAGES[:1])
    assert isinstance(reports["a"].error, HookError)
    assert outcomes(await host.run(LINEAGES[:1], mode=Mode.SCHEDULED)) == {"a": Outcome.WAITING}
    host.hooks.failing.clear()
    host.wait(61)
    assert (await host.run(LINEAGES[:1], mode=Mode.SCHEDULED))["a"].error is None
    assert [event for event, _ in host.hooks.ran] == [Event.DEPLOY] * 2
    assert host.ca.calls == []


async def test_failed_pre_hook_prevents_all_renewals(host: Host) -> None:
    host.hooks.events, host.hooks.failing = {Event.PRE}, {Event.PRE}
    reports = await host.run()
    assert {type(one.error) for one in reports.values()} == {HookError}
    assert host.ca.calls == []
    assert len(host.hooks.ran) == 1


async def test_failed_post_hook_fails_the_obtained_certificates(host: Host) -> None:
    host.nginx.needed = {"a"}
    await host.run(LINEAGES[:1])
    host.nginx.needed = set(NAMES)
    host.hooks.events, host.hooks.failing = {Event.POST}, {Event.POST}
    assert outcomes(await host.run()) == {"a": Outcome.UNCHANGED, "b": Outcome.FAILED, "c": Outcome.FAILED}


async def test_hook_failed_receives_the_reason(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.hooks.events = {Event.FAILED}
    await fail(host)
    ((event, about),) = host.hooks.ran
    assert (event, about.lineages) == (Event.FAILED, ("b",))
    assert "the CA did not accept b.example: connection" in about.error
    host.hooks.failing = {Event.FAILED}
    with caplog.at_level(logging.ERROR):
        await host.run(LINEAGES[1:2], is_forced=True)
    assert "the hook 'failed' failed for b: it says no" in caplog.text


async def test_failure_danger_and_recovery_are_reported_once_each(host: Host) -> None:
    await host.run()
    schedule = (await host.state.schedules.read_schedules())["b"]
    host.wait((schedule.renew_at - host.clock.now()).total_seconds() + 60)
    host.ca.refused["b.example"] = REFUSED
    for _ in range(3):
        await host.run(LINEAGES[1:2])
    assert host.notifications.reported == [(Notice.FAILURE, "b")]
    left = schedule.not_after - host.clock.now()
    host.wait(left.total_seconds() * 0.7)
    for mode in (Mode.SCHEDULED, Mode.RETRY, Mode.RETRY):
        await host.run(LINEAGES[1:2], mode=mode)
    assert host.notifications.reported[1:] == [(Notice.DANGER, "b")]
    host.ca.refused.clear()
    for _ in range(2):
        await host.run(LINEAGES[1:2])
    assert host.notifications.reported[2:] == [(Notice.RECOVERY, "b")]


async def test_waiting_certificate_can_be_in_danger_too(host: Host) -> None:
    await host.run()
    schedule = (await host.state.schedules.read_schedules())["b"]
    host.wait((schedule.not_after - host.clock.now()).total_seconds() - 3600)
    until = host.clock.now() + timedelta(minutes=30)
    await host.state.ledger.record_block(Blocked(host.ca.directory_url, "b", until, "the CA has us wait"))
    # Blocks are read from disk once, so build new limits, as after a restart.
    sources = replace(host.passes.renewals.sources, limits=Limits(host.state.ledger, host.clock, str))
    again = replace(host, passes=replace(host.passes, renewals=replace(host.passes.renewals, sources=sources)))
    assert outcomes(await again.run(LINEAGES[1:2], mode=Mode.SCHEDULED)) == {"b": Outcome.WAITING}
    assert host.notifications.reported == [(Notice.DANGER, "b")]
    assert host.notifications.details == [f"its renewal was planned for {schedule.renew_at:%Y-%m-%d %H:%M} UTC"]


async def test_uses_that_no_longer_count_are_forgotten(host: Host) -> None:
    host.authorities.limited[host.ca.directory_url] = (replace(ONE_ORDER, count=9),)
    began = host.clock.now()
    await host.run()
    host.wait(3 * 86_400)
    await host.run(is_forced=True)
    ((_, _, _, count, _),) = await host.state.ledger.read_values(host.ca.directory_url, began)
    assert count == 3


async def test_failed_notification_is_sent_later(host: Host) -> None:
    host.notifications.is_away = True
    await fail(host)
    assert host.notifications.reported == []
    host.notifications.is_away = False
    await host.run(mode=Mode.SCHEDULED)
    assert host.notifications.reported == [(Notice.FAILURE, "b")]


async def test_common_obstacle_is_checked_once_per_pass(host: Host) -> None:
    count = 0

    async def prepare() -> None:
        nonlocal count
        count += 1
        raise PublishError("no responder is pinned")

    passes = replace(host.passes, prepare=prepare)
    reports = await replace(host, passes=passes).run()
    assert {str(one.error) for one in reports.values()} == {"no responder is pinned"}
    assert (count, host.ca.calls) == (1, [])


async def test_failure_that_cannot_be_recorded_does_not_stop_the_others(host: Host, folder: Path) -> None:
    host.ca.new_order_error = OrderError("no answer")
    await host.run()
    host.ca.new_order_error = None
    with closing(sqlite3.connect(folder / "state.db")) as other:
        other.execute("CREATE TRIGGER refuse BEFORE DELETE ON failures BEGIN SELECT RAISE(ABORT, 'not that row'); END")
    reports = await host.run()
    assert all("not that row" in str(one.error) for one in reports.values())
    assert {one.next_try_at for one in reports.values()} == {None}


async def test_revoked_certificate_is_due_until_it_is_replaced(host: Host) -> None:
    host.nginx.needed = {"a"}
    await host.run(LINEAGES[:1])
    revoked = host.certificates.live["a"]
    host.ca.new_order_error = OrderError("no answer")
    assert outcomes(await host.run(LINEAGES[:1], mode=Mode.REVOKED)) == {"a": Outcome.FAILED}
    host.ca.new_order_error = None
    host.wait(61)
    report = (await host.run(LINEAGES[:1], mode=Mode.SCHEDULED))["a"]
    assert (report.outcome, "revoked" in report.reason) == (Outcome.SERVED, True)
    assert host.certificates.live["a"] != revoked
    assert outcomes(await host.run(LINEAGES[:1])) == {"a": Outcome.UNCHANGED}


async def test_concurrent_passes_obtain_a_certificate_once(host: Host) -> None:
    host.nginx.needed = {"a"}
    first, second = await asyncio.gather(host.run(LINEAGES[:1]), host.run(LINEAGES[:1]))
    assert sorted([*outcomes(first).values(), *outcomes(second).values()]) == [Outcome.SERVED, Outcome.UNCHANGED]
    assert len(host.certificates.switches) == 1
