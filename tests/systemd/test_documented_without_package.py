"""Installations without the package, by the commands of the documentation: by hand, with pipx or uv, and what follows.

Wheels come from a directory, the CA is a test server, and `sudoedit` is replaced by its result.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from stand.machine import Machine
from stand.pebble import Pebble
from tests.systemd.conftest import CACHE
from tests.systemd.packages import source_archive
from tests.systemd.pages import Page, commands, edited, replaced
from tests.systemd.server import CA_BUNDLE, DAEMON, NAME, RESPONDER, SITE, Server, server_blocks, start_application

pytestmark = [pytest.mark.integration, pytest.mark.booted, pytest.mark.timeout(600)]

MANUAL: Final = "docs/manual-setup.md"
SHARE: Final = "/usr/local/share/wellkeeper"
UNIT_OF_0_1: Final = """\
[Service]
EnvironmentFile=/etc/wellkeeper/responder.env
ExecStart=/usr/local/bin/wellkeeper-responder
DynamicUser=yes
RuntimeDirectory=wellkeeper
RuntimeDirectoryMode=0755

[Install]
WantedBy=multi-user.target
"""
# The trust file as the variables of version 0.1.0.
TO_ENVIRONMENT: Final = """\
import tomllib
trust = tomllib.load(open("/etc/wellkeeper/trust.toml", "rb"))
for name, values in (("ACCOUNT_THUMBPRINT", "account_thumbprints"), ("PUBLISHING_KEY", "publishing_keys")):
    print(f"WELLKEEPER_RESPONDER_{name}={' '.join(trust[values])}")
"""
# One of the two per release: what installs it in the machine, and runs it without a network.
TOOLS: Final = {"bookworm": "pipx", "trixie": "uv"}
OFFLINE: Final = "export UV_OFFLINE=1 UV_FIND_LINKS=/var/wheels UV_NO_INDEX=1"


@pytest.fixture
async def server(release: str, folder: Path, ca: Pebble, tmp_path: Path) -> AsyncIterator[Server]:
    """Yield a machine with a checkout in /srv and the wheels that it needs."""
    wheels = CACHE / "machine-wheels"
    assert await asyncio.to_thread(wheels.exists), "run scripts/test --booted, which downloads the wheels"
    async with Machine(folder, wheels, CACHE / f"machine-{release}") as machine:
        server = Server(machine, ca)
        await server.trust_ca()
        checkout = await asyncio.to_thread(source_archive, tmp_path)
        await machine.run_well("tar", "-C", "/srv", "-xz", "--strip-components=1", stdin=checkout)
        yield server


async def test_manual_setup_is_upgraded_and_replaced_by_the_package(server: Server, package: Path) -> None:
    machine = server.machine
    await set_up_by_hand(server)
    serial = await server.until_served()
    await machine.reboot()
    assert await server.until_served() == serial
    await machine.run_well("wellkeeper", "renew", NAME, "--force")
    serial = await server.until_served(other_than=serial)

    page = Page("UPGRADING.md")
    await return_to_0_1(server)
    await machine.shell(page.next("wellkeeper trust --write"))
    assert await server.show(RESPONDER, "Type") == "notify"
    await machine.run_well("wellkeeper", "renew", NAME, "--force")
    serial = await server.until_served(other_than=serial)
    await machine.shell(page.next("nginx -t"))

    page.next("--entrypoint chown")  # for containers
    page.next("sudo apt install")
    change = page.next("sudo rm -r /opt/wellkeeper")
    await machine.shell(page.next("systemctl restart"))  # without the package, so before it is installed
    page.end()
    await change_to_the_package(machine, package, change)
    for unit in (RESPONDER, DAEMON):
        assert (await server.show(unit, "FragmentPath")).endswith(f"/lib/systemd/system/{unit}")
        assert await server.is_active(unit)
    assert await server.until_served() == serial
    assert (await server.status())["daemon"]["is_restart_needed"] is False
    await machine.run_well("wellkeeper", "renew", NAME, "--force")


async def set_up_by_hand(server: Server) -> None:
    documented = replaced(commands(MANUAL, "wellkeeper init"), "--agree-to-terms-of-service", server.ca_options)
    await server.machine.write("/root/blocks", server_blocks(NAME, "example.org"))
    await server.machine.shell(f"cd /srv; {edited(documented, f'cp /root/blocks {SITE}')}")


async def return_to_0_1(server: Server) -> None:
    """Install the responder's unit and environment of version 0.1.0 instead of the trust file."""
    machine = server.machine
    for folder in ("/etc/systemd/system", f"{SHARE}/systemd"):
        await machine.write(f"{folder}/{RESPONDER}", UNIT_OF_0_1)
    environment = await machine.run_well("python3", "-", stdin=TO_ENVIRONMENT.encode())
    await machine.write("/etc/wellkeeper/responder.env", environment)
    await machine.shell(f"rm /etc/wellkeeper/trust.toml; systemctl daemon-reload; systemctl restart {RESPONDER}")
    await server.until("wellkeeper rehearse")  # systemd does not know when this responder listens


async def change_to_the_package(machine: Machine, package: Path, documented: str) -> None:
    await machine.write_bytes(f"/root/{package.name}", await asyncio.to_thread(package.read_bytes))
    await machine.shell(f"cd /root; {replaced(documented, 'wellkeeper_*~deb12_amd64.deb', package.name)}")


async def test_setup_with_pipx_or_uv_leads_to_a_served_certificate_of_an_internal_ca(
    server: Server, release: str
) -> None:
    machine, tool = server.machine, TOOLS[release]
    await start_application(machine)
    await machine.shell(f"python3 -m venv /root/tools; /root/tools/bin/pip install {tool}")
    await machine.shell(f"cp /root/tools/bin/{tool} /usr/bin/")
    (line,) = [one for one in commands(MANUAL, "pipx install .").splitlines() if f"{tool} " in one]
    await machine.shell(f"{OFFLINE}; cd /srv; {replaced(line, 'sudo ', 'env ')}")

    setup = replaced(commands("docs/setup.md", "--ca-bundle"), "/etc/ssl/internal-root.pem", CA_BUNDLE)
    setup = replaced(setup, "https://ca.internal/acme/acme/directory", server.directory_url)
    screen = await machine.terminal(setup, "1\n\ny\n", interrupted_at="Waiting for nginx")
    assert f"{RESPONDER} was not started: it is not installed" in screen
    assert "Run 'sudo wellkeeper setup' to see them again and to continue here." in screen
    (note,) = [one for one in screen.splitlines() if "to install the units" in one]
    units, again = commands(MANUAL, "sudo wellkeeper setup").removesuffix("sudo wellkeeper setup\n"), setup
    assert note.split("'")[1].split(" && ")[1] in units
    await machine.shell(units)

    session = asyncio.create_task(machine.terminal(again, ""))
    await server.until(f"systemctl is-active {RESPONDER}")
    await machine.shell(commands("docs/setup.md", "patch -N -d"))
    await session
    assert await server.served() is not None
    assert await server.is_active(DAEMON)
    await uninstall(server)


async def uninstall(server: Server) -> None:
    machine = server.machine
    await machine.shell(commands("docs/renewals.md", "systemctl disable --now"))
    await machine.shell("patch -R -d / -p0 -i /etc/wellkeeper/nginx.patch; nginx -t; systemctl reload nginx")
    deactivate, *remove = commands("docs/renewals.md", "account deactivate").splitlines()
    await machine.terminal(deactivate, "y\n")
    await machine.shell("\n".join(remove))
    await machine.shell("nginx -t")
    kept = "-path /srv -o -path /root -o -path /tmp -o -path /var"
    assert await machine.shell(f"find / -xdev \\( {kept} \\) -prune -o -name '*wellkeeper*' -print") == ""
