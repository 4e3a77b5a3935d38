"""From nothing to a served certificate, by the commands of the documentation as they are written there.

Only the CA differs, whose root certificate the machine trusts.
"""

import asyncio
import time
from pathlib import Path

import pytest

from stand.machine import Machine
from stand.pebble import Pebble
from tests.systemd.pages import commands, replaced
from tests.systemd.server import CA_BUNDLE, DAEMON, RESPONDER, Server, start_application

pytestmark = [pytest.mark.integration, pytest.mark.booted, pytest.mark.timeout(600)]


@pytest.fixture
async def server(bare_machine: Machine, ca: Pebble, package: Path) -> Server:
    """Return a machine with an application, the CA's root certificate, and our package in /root, not installed."""
    machine, server = bare_machine, Server(bare_machine, ca)
    await start_application(machine)
    await machine.write_bytes(f"/root/{package.name}", await asyncio.to_thread(package.read_bytes))
    await server.trust_ca()
    return server


async def test_three_commands_of_the_readme_lead_to_a_served_certificate(server: Server) -> None:
    machine = server.machine
    await machine.shell(f"cp {CA_BUNDLE} /usr/local/share/ca-certificates/test.crt; update-ca-certificates")
    install, setup = commands("README.md", "wellkeeper setup").splitlines()
    answers = ("1", server.directory_url, "admin@example.org", "y")
    began = time.monotonic()
    await machine.shell(f"cd /root; {install}")
    session = asyncio.create_task(machine.terminal(setup, "".join(f"{answer}\n" for answer in answers)))
    await server.until("test -e /etc/wellkeeper/nginx.patch")
    await machine.shell(commands("docs/setup.md", "patch -N -d"))
    screen = await session
    serial = await server.served()
    assert serial is not None, screen
    print(f"served after {time.monotonic() - began:.1f} s")  # noqa: T201 - for -rP
    assert commands("docs/setup.md", "patch -N -d").strip() in screen
    await assert_survives_a_reboot(server, serial)


async def test_setup_without_a_terminal_leads_to_a_served_certificate(server: Server) -> None:
    machine = server.machine
    install, _ = commands("README.md", "wellkeeper setup").splitlines()
    setup = replaced(
        commands("docs/setup.md", "sudo wellkeeper setup --certificate"),
        "--agree-to-terms-of-service",
        server.ca_options,
    )
    began = time.monotonic()
    output = await machine.shell(f"cd /root; {install}; {setup}")
    printed = [line for line in output.splitlines() if line.startswith("  patch ")]
    assert len(printed) == 1, output
    await machine.shell(printed[0])
    serial = await server.until_served()
    print(f"served after {time.monotonic() - began:.1f} s")  # noqa: T201 - for -rP
    await assert_survives_a_reboot(server, serial)
    assert "nginx's configuration has everything that it needs." in await machine.run_well("wellkeeper", "setup")


async def assert_survives_a_reboot(server: Server, serial: str) -> None:
    for unit in (RESPONDER, DAEMON):
        assert (await server.machine.run("systemctl", "is-enabled", unit)).out == "enabled\n"
        assert await server.is_active(unit)
    assert await server.machine.shell("find /etc/nginx -name '*.orig' -o -name '*.rej'") == ""
    await server.machine.reboot()
    assert await server.until_served() == serial
