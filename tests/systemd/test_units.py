"""The units under a real systemd: hardening, reload, watchdog, timer, journal, and what the documentation shows."""

import re
from typing import Final

import pytest

from stand.processes import PROJECT
from tests.systemd.server import DAEMON, NAME, RESPONDER, SETTINGS, SITE, Server

pytestmark = [pytest.mark.integration, pytest.mark.booted, pytest.mark.timeout(600)]

RELAY: Final = "wellkeeper-relay.service"
NODE: Final = "wellkeeper-node.service"
PASS: Final = "wellkeeper-renew.service"
TIMER: Final = "wellkeeper-renew.timer"
METRICS: Final = "wellkeeper-metrics.service"
# As `systemd-analyze security` rates them, from 0 (safe) to 10; nginx has 9.6.
EXPOSURES: Final = {RESPONDER: 0.2, RELAY: 1.0, NODE: 3.3, DAEMON: 3.3, PASS: 3.3, METRICS: 3.3}


async def test_units_are_valid_and_hardened(serving: Server) -> None:
    machine = serving.machine
    assert await machine.shell("systemd-analyze verify /usr/lib/systemd/system/wellkeeper*") == ""
    for unit, most in EXPOSURES.items():
        output = await machine.run_well("systemd-analyze", "security", "--no-pager", unit)
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", output)
        assert found is not None, output
        assert float(found[1]) <= most, output


async def test_reload_takes_good_settings_and_refuses_bad_ones(serving: Server) -> None:
    machine, pid = serving.machine, await serving.show(DAEMON, "MainPID")
    await serving.write_settings("renewals_at_once = 3")
    await machine.run_well("systemctl", "reload", DAEMON)
    await serving.write_settings("renewals_at_once = 0")
    refused = await machine.run("systemctl", "reload", DAEMON)
    assert refused.exit_code == 1, refused
    assert await serving.show(DAEMON, "MainPID") == pid
    assert await serving.is_active(DAEMON)
    log = await machine.run_well("journalctl", "--no-pager", "--unit", DAEMON)
    assert "renewals_at_once" in log, log
    await serving.write_settings()
    await machine.run_well("systemctl", "reload", DAEMON)
    await machine.run_well("wellkeeper", "renew", NAME, "--force")


async def test_daemon_with_bad_settings_stays_down(server: Server) -> None:
    await server.write_settings("renewals_at_once = 0")
    assert (await server.machine.run("systemctl", "start", DAEMON)).exit_code == 1
    assert await server.show(DAEMON, "ActiveState") == "failed"
    assert await server.show(DAEMON, "ExecMainStatus") == "2"


async def test_hung_daemon_is_restarted_by_the_watchdog(serving: Server) -> None:
    machine, pid = serving.machine, await serving.show(DAEMON, "MainPID")
    await machine.write(f"/etc/systemd/system/{DAEMON}.d/watchdog.conf", "[Service]\nWatchdogSec=8\nRestartSec=1\n")
    await machine.shell(f"systemctl daemon-reload && systemctl restart {DAEMON}")
    pid = await serving.show(DAEMON, "MainPID")
    await machine.run_well("kill", "-STOP", pid)
    await serving.until(f"systemctl is-active {DAEMON} && test $(systemctl show -P MainPID {DAEMON}) != {pid}")
    assert "watchdog" in (await machine.run_well("journalctl", "--no-pager", "--unit", DAEMON)).lower()
    await machine.run_well("wellkeeper", "renew", NAME, "--force")


async def test_timer_obtains_the_first_certificate_and_continues_after_failures(server: Server) -> None:
    machine = server.machine
    times = ("OnBootSec=", "OnUnitActiveSec=", "RandomizedDelaySec=0", "OnActiveSec=1", "OnUnitInactiveSec=2")
    await machine.write(
        f"/etc/systemd/system/{TIMER}.d/short.conf", "\n".join(["[Timer]", *times, "AccuracySec=1", ""])
    )
    await machine.shell(f"mv {SITE} /root/; systemctl reload nginx; systemctl enable --now {TIMER}")
    await server.until(f"systemctl is-failed {PASS}")
    await machine.shell(f"mv /root/www {SITE}; systemctl reload nginx; wellkeeper renew {NAME}")
    await server.until_served()
    await server.until(f"test $(systemctl show -P Result {PASS}) = success")


async def test_renewals_continue_without_and_after_journald(serving: Server) -> None:
    machine = serving.machine
    units = "systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service"
    await machine.shell(f"systemctl stop {units}")
    await machine.run_well("wellkeeper", "renew", NAME, "--force")
    await machine.shell("systemctl start systemd-journald.service")
    await machine.run_well("wellkeeper", "renew", NAME, "--force")


async def test_hook_of_the_documentation_writes_below_etc_but_not_the_trust_file(serving: Server) -> None:
    machine = serving.machine
    page = (PROJECT / "docs/hooks.md").read_text()
    found = re.search(r"```sh\n(#!/bin/sh\n.*?haproxy.*?)```", page, re.DOTALL)
    assert found is not None
    documented = found[1].replace("www.example.org)", f"{NAME})")
    refused = "(echo >>/etc/wellkeeper/trust.toml) 2>/var/tmp/refused || true\n"
    await machine.write("/etc/wellkeeper/deploy", documented + refused)
    await machine.write("/etc/systemd/system/haproxy.service", "[Service]\nExecStart=sleep inf\nExecReload=true\n")
    await machine.shell("chmod 755 /etc/wellkeeper/deploy; mkdir -p /etc/haproxy/certs; systemctl start haproxy")
    hooks = '[hooks]\ndeploy = ["/etc/wellkeeper/deploy"]'
    await machine.shell(f"printf '%s\\n' '{hooks}' >>{SETTINGS}; systemctl reload {DAEMON}")
    await machine.run_well("wellkeeper", "renew", NAME, "--force")
    assert "PRIVATE KEY" in await machine.run_well("cat", "/etc/haproxy/certs/www.pem")
    assert "Read-only file system" in await machine.run_well("cat", "/var/tmp/refused")


async def test_units_and_sudoers_of_the_monitoring_page_work(serving: Server) -> None:
    machine = serving.machine
    page = (PROJECT / "docs/monitoring.md").read_text()
    files = re.findall(r"```\n# (/etc/[^\s,]+)[^\n]*\n(.*?)```", page, re.DOTALL)
    assert len(files) == 3
    for path, content in files:
        await machine.write(path, content)
    await machine.write("/usr/local/bin/mail", "#!/bin/sh\ncat >/var/tmp/mail\n")
    await machine.shell("chmod 755 /usr/local/bin/mail; chmod 440 /etc/sudoers.d/wellkeeper; useradd nagios")
    await machine.run_well("runuser", "-u", "nagios", "--", "sudo", "-n", "wellkeeper", "status", "--check")
    await machine.shell(f"systemctl daemon-reload; systemctl disable --now {DAEMON} {RESPONDER}")
    await machine.shell(f"sed -i 's/{NAME}/www.example.com/' {SETTINGS}")
    assert (await machine.run("systemctl", "start", PASS)).exit_code == 1
    await serving.until(f"grep --quiet {PASS} /var/tmp/mail")
