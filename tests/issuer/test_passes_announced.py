"""After a pass: what is announced of renewals without a failure."""

from tests.issuer.hosts import LINEAGES, Host
from wellkeeper_node.model import Problem

REFUSED = Problem("urn:ietf:params:acme:error:connection", "timeout")


async def test_each_renewal_without_a_failure_is_announced(host: Host) -> None:
    await host.run()
    schedule = (await host.state.schedules.read_schedules())["b"]
    until = f"{schedule.not_after:%Y-%m-%d %H:%M} UTC"
    assert host.notifications.renewed == {one.name: f"served, valid until {until}" for one in LINEAGES}
    host.notifications.renewed.clear()
    await host.run()
    host.ca.refused["b.example"] = REFUSED
    await host.run(is_forced=True)
    assert "b" not in host.notifications.renewed
    assert host.notifications.renewed
