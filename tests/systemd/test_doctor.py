"""doctor on a host with systemd: the daemon, the timer, the sandbox of hooks, and other clients."""

import json
from typing import Any, Final

import pytest

from tests.systemd.server import DAEMON, Server

pytestmark = [pytest.mark.integration, pytest.mark.booted, pytest.mark.timeout(600)]

TIMER: Final = "wellkeeper-renew.timer"


async def found(server: Server, check: str) -> dict[str, Any]:
    """Return the first finding of the check."""
    finished = await server.machine.run("wellkeeper", "doctor", "--offline", "--json")
    assert finished.exit_code in {0, 1}, finished
    return next(one for one in finished.json()["findings"] if one["check"] == check)


async def test_whatever_renews_is_found_and_a_host_on_which_nothing_does_gets_the_command(serving: Server) -> None:
    machine = serving.machine
    one = await found(serving, "service")
    assert (one["verdict"], "a daemon runs (pid " in one["cause"]) == ("ok", True), one
    await machine.run_well("systemctl", "disable", DAEMON)
    one = await found(serving, "service")
    assert (one["verdict"], one["fix"]) == ("warn", f"Run 'systemctl enable {DAEMON}'."), one
    await machine.run_well("systemctl", "stop", DAEMON)
    one = await found(serving, "service")
    assert (one["verdict"], one["fix"]) == ("fail", "Run 'systemctl enable --now wellkeeper'."), one
    await machine.run_well("systemctl", "enable", "--now", TIMER)
    assert (await found(serving, "service"))["cause"] == f"{TIMER} is active"


async def test_hook_that_the_sandbox_of_the_unit_hides_is_named_with_its_line(server: Server) -> None:
    machine = server.machine
    await machine.write("/root/deploy", "#!/bin/sh\n")
    await machine.run_well("chmod", "755", "/root/deploy")
    await server.write_settings(f"hooks.deploy = {json.dumps(['/root/deploy'])}")
    assert (await found(server, "hooks"))["verdict"] == "ok"
    drop_in = f"/etc/systemd/system/{DAEMON}.d/home.conf"
    await machine.write(drop_in, "[Service]\nProtectHome=yes\n")
    await machine.run_well("systemctl", "daemon-reload")
    one = await found(server, "hooks")
    assert (one["verdict"], one["cause"]) == ("fail", f"{DAEMON} has ProtectHome=, which hides /root/deploy"), one
    assert one["place"].startswith("/etc/wellkeeper/issuer.toml:")
    await machine.write(drop_in, "[Service]\nProtectSystem=full\n")
    await machine.run_well("systemctl", "daemon-reload")
    one = await found(server, "hooks")
    assert (one["verdict"], "makes /etc read-only (ProtectSystem=full)" in one["cause"]) == ("warn", True), one


async def test_fresh_debian_host_has_no_failure_on_this_host(serving: Server) -> None:
    finished = await serving.machine.run("wellkeeper", "doctor", "--offline", "--json")
    failed = [one for one in finished.json()["findings"] if one["verdict"] == "fail"]
    assert failed == [], finished
