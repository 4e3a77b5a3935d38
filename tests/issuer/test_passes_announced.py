"""Announcements of renewals: one for each, by the pass that completes its delivery without a failure."""

from tests.issuer.hosts import LINEAGES, Host
from tests.issuer.test_passes_starting import Beside
from wellkeeper_issuer.records import Event
from wellkeeper_issuer.reports import Mode, Outcome
from wellkeeper_node.model import Problem

REFUSED = Problem("urn:ietf:params:acme:error:connection", "timeout")
A = LINEAGES[:1]


async def until(host: Host) -> str:
    schedule = (await host.state.schedules.read_schedules())["a"]
    return f"valid until {schedule.not_after:%Y-%m-%d %H:%M} UTC"


async def announced(host: Host) -> dict[str, str]:
    """Run a pass on one certificate, and return what it announced."""
    host.notifications.renewed.clear()
    await host.run(A)
    return dict(host.notifications.renewed)


async def test_each_renewal_without_a_failure_is_announced(host: Host) -> None:
    await host.run()
    assert host.notifications.renewed == {one.name: f"served, {await until(host)}" for one in LINEAGES}
    host.notifications.renewed.clear()
    await host.run()
    host.ca.refused["b.example"] = REFUSED
    await host.run(is_forced=True)
    assert "b" not in host.notifications.renewed
    assert host.notifications.renewed


async def test_renewal_is_announced_once_nginx_loads_what_an_earlier_pass_obtained(host: Host) -> None:
    host.nginx.needed, host.nginx.refusal = {"a"}, "nginx kept its old workers"
    assert await announced(host) == {}
    host.nginx.refusal = None
    assert await announced(host) == {"a": f"served, {await until(host)}"}
    assert await announced(host) == {}


async def test_renewal_is_announced_once_clients_get_what_an_earlier_pass_loaded(host: Host) -> None:
    host.nginx.needed = {"a"}
    await host.run(A)
    assert host.certificates.live["a"] is not None
    host.handshakes.stale["a"] = host.certificates.live["a"]
    host.notifications.renewed.clear()
    assert (await host.run(A, is_forced=True))["a"].outcome is Outcome.FAILED
    assert host.notifications.renewed == {}
    host.handshakes.stale.clear()
    assert await announced(host) == {"a": f"served, {await until(host)}"}
    host.handshakes.stale["a"] = next(iter(host.certificates.pairs["a"]))
    host.wait(86_400)
    assert (await host.run(A))["a"].outcome is Outcome.FAILED
    host.handshakes.stale.clear()
    assert await announced(host) == {}


async def test_renewal_is_announced_once_its_deploy_hook_has_succeeded(host: Host) -> None:
    host.nginx.needed = {"a"}
    host.hooks.events, host.hooks.failing = {Event.DEPLOY}, {Event.DEPLOY}
    assert await announced(host) == {}
    host.hooks.failing.clear()
    assert await announced(host) == {"a": f"served, {await until(host)}"}
    assert await announced(host) == {}


async def test_renewal_that_no_server_block_uses_is_announced_once(host: Host) -> None:
    host.nginx.needed = set()
    assert await announced(host) == {"a": f"installed, not served yet, {await until(host)}"}
    host.nginx.needed = {"a"}
    assert (await host.run(A))["a"].outcome is Outcome.SERVED
    assert await announced(host) == {}


async def test_neither_hook_nor_announcement_comes_before_nginx_has_started(host: Host) -> None:
    host.hooks.events = {Event.DEPLOY}
    host.nginx.needed, host.nginx.refusal = {"a"}, "nginx kept its old workers"
    await host.run(A)
    host.nginx.refusal = None
    host.wait(86_400)
    beside = Beside(host, "nginx")
    assert (await beside.run(Mode.SCHEDULED)).outcome is Outcome.WAITING
    assert (host.hooks.ran, host.notifications.renewed) == ([], {})
    beside.start()
    assert await announced(host) == {"a": f"served, {await until(host)}"}
    assert [event for event, _ in host.hooks.ran] == [Event.DEPLOY]
