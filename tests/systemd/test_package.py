"""The Debian package on booted machines: installation, first certificate, upgrade, removal and purge."""

import asyncio
from pathlib import Path
from typing import Final

import pytest

from stand.machine import Machine
from stand.pebble import Pebble
from stand.processes import PROJECT
from tests.systemd.conftest import CACHE
from tests.systemd.packages import OLDER
from tests.systemd.server import DAEMON, LIVE, NAME, RESPONDER, SITE, Server, install

pytestmark = [pytest.mark.integration, pytest.mark.booted, pytest.mark.timeout(600)]

SNIPPETS: Final = "/etc/nginx/snippets/wellkeeper"
UPSTREAM: Final = "/etc/nginx/conf.d/wellkeeper.conf"


def test_packages_are_built_by_the_command_of_the_readme() -> None:
    command, readme = "scripts/package --release {} {}", (PROJECT / "README.md").read_text()
    assert f"`{command.format('trixie', '.')}` builds one (for Debian 12: `bookworm`)" in readme
    assert command.format('"$release"', ".cache/packages") in (PROJECT / "scripts/test").read_text()


async def test_lintian_reports_nothing(package: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        "lintian",
        *("--allow-root", "--fail-on", "error,warning,info", package),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert (process.returncode, output.decode()) == (0, "")


async def test_first_certificate_is_served_and_again_after_a_reboot(
    bare_machine: Machine, ca: Pebble, package: Path
) -> None:
    await install(bare_machine, package)
    server = Server(bare_machine, ca)
    await server.set_up()
    await server.start_daemon()
    serial = await server.until_served()
    await server.machine.reboot()
    assert await server.until_served() == serial
    for unit in (RESPONDER, DAEMON):
        assert await server.is_active(unit)
    await server.machine.run_well("wellkeeper", "renew", NAME, "--force")
    assert await server.until_served(other_than=serial)


async def test_strict_umask_of_the_administrator_changes_nothing(
    release: str, folder: Path, ca: Pebble, package: Path
) -> None:
    async with Machine(folder, CACHE / f"machine-{release}", umask="027") as machine:
        await install(machine, package)
        server = Server(machine, ca)
        await server.set_up()
        await server.start_daemon()
        unreadable = await machine.shell(f"find /opt/wellkeeper {SNIPPETS} ! -perm -o=r ! -type l")
        assert unreadable == ""


async def test_upgrade_restarts_what_runs_and_keeps_changed_snippets(
    bare_machine: Machine, ca: Pebble, package: Path, older_package: Path
) -> None:
    await install(bare_machine, older_package)
    assert await bare_machine.run_well("wellkeeper", "--version") == f"wellkeeper, version {OLDER}\n"
    server = Server(bare_machine, ca)
    await server.set_up()
    await server.start_daemon()
    serial = await server.until_served()
    pids = [await server.show(unit, "MainPID") for unit in (RESPONDER, DAEMON)]
    assert "older" in await bare_machine.shell(f"cat {SNIPPETS}/upstream.conf")
    await bare_machine.shell(f"echo '# mine' >>{SNIPPETS}/tls.conf")
    await install(bare_machine, package)
    for unit, pid in zip((RESPONDER, DAEMON), pids, strict=True):
        assert await server.is_active(unit)
        assert await server.show(unit, "MainPID") != pid
    assert OLDER not in await bare_machine.run_well("wellkeeper", "--version")
    assert OLDER not in await bare_machine.run_well("find", "/opt/wellkeeper", "-name", "wellkeeper-*")
    assert "older" not in await bare_machine.shell(f"cat {SNIPPETS}/upstream.conf")
    assert "# mine" in await bare_machine.shell(f"cat {SNIPPETS}/tls.conf")
    assert await server.until_served() == serial
    assert (await server.status())["daemon"]["is_restart_needed"] is False
    await bare_machine.run_well("wellkeeper", "renew", NAME, "--force")


async def test_upgrade_starts_nothing_that_was_not_enabled(
    bare_machine: Machine, package: Path, older_package: Path
) -> None:
    await install(bare_machine, older_package)
    await install(bare_machine, package)
    assert await bare_machine.shell("systemctl list-units --plain --no-legend 'wellkeeper*'") == ""


async def test_removal_and_purge_keep_what_nginx_needs(serving: Server) -> None:
    machine, serial = serving.machine, await serving.until_served()
    await machine.run_well("apt-get", "remove", "--yes", "wellkeeper")
    assert not await serving.is_active(RESPONDER)
    assert not await serving.is_active(DAEMON)
    await machine.shell("test ! -e /opt/wellkeeper; test ! -e /usr/bin/wellkeeper; nginx -t; systemctl restart nginx")
    assert await serving.until_served() == serial

    purged = await machine.run_well("apt-get", "purge", "--yes", "wellkeeper")
    for line in (
        f"wellkeeper: {SNIPPETS} and {UPSTREAM} stay, because nginx needs them",
        f"  they are used in {SITE}",
        "wellkeeper: the certificates stay in /var/lib/wellkeeper/certificates",
    ):
        assert line in purged.splitlines()
    await machine.shell(
        "test ! -e /etc/wellkeeper; test ! -e /var/lib/wellkeeper/issuer; nginx -t; systemctl restart nginx"
    )
    assert await serving.until_served() == serial


async def test_purge_removes_snippets_that_nginx_does_not_need(machine: Machine) -> None:
    assert await machine.shell(f"cat {UPSTREAM}") != ""
    await machine.run_well("apt-get", "purge", "--yes", "wellkeeper")
    await machine.shell(f"test ! -e {SNIPPETS}; test ! -e {UPSTREAM}; nginx -t")


async def test_purge_keeps_snippets_that_a_broken_configuration_names(server: Server) -> None:
    await server.machine.shell(f"echo broken >>{SITE}; ! nginx -t")
    purged = await server.machine.run_well("apt-get", "purge", "--yes", "wellkeeper")
    assert f"  they are used in {SITE}" in purged.splitlines()
    await server.machine.shell(f"sed -i '/^broken/d' {SITE}; nginx -t")


async def test_removed_package_starts_again_when_it_is_installed(serving: Server, package: Path) -> None:
    await serving.machine.run_well("apt-get", "remove", "--yes", "wellkeeper")
    await install(serving.machine, package)
    for unit in (RESPONDER, DAEMON):
        await serving.until(f"systemctl is-active {unit}")
    await serving.machine.run_well("wellkeeper", "renew", NAME, "--force")
    assert LIVE in await serving.machine.shell("nginx -T")
