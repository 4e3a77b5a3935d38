"""From nothing to a served certificate, by the commands of the documentation as they are written there.

Only names, the CA and its root certificate differ.
"""

import asyncio
import re
import time
from pathlib import Path
from typing import Final

import pytest

from stand.machine import Machine
from stand.pebble import Pebble
from tests.systemd.conftest import CACHE
from tests.systemd.packages import source_archive
from tests.systemd.pages import commands, replaced
from tests.systemd.server import DAEMON, NAME, RESPONDER, Server, server_blocks

pytestmark = [pytest.mark.integration, pytest.mark.booted, pytest.mark.timeout(600)]

# An application beside Debian's default site.
_START_APPLICATION: Final = "systemd-run --quiet python3 -m http.server --bind 127.0.0.1 --directory /srv 8080"
_APPLICATION: Final = f"""server {{
    listen 80;
    server_name {NAME};
    location / {{ proxy_pass http://127.0.0.1:8080; }}
}}
"""


async def test_three_commands_of_the_readme_lead_to_a_served_certificate(
    bare_machine: Machine, ca: Pebble, package: Path
) -> None:
    machine, server = bare_machine, Server(bare_machine, ca)
    await machine.write("/etc/nginx/sites-available/app", _APPLICATION)
    await machine.shell(_START_APPLICATION)
    await machine.shell("ln -s ../sites-available/app /etc/nginx/sites-enabled/app; systemctl reload nginx")
    await machine.write_bytes(f"/root/{package.name}", await asyncio.to_thread(package.read_bytes))
    await server.trust_ca()
    setup = f"wellkeeper setup --certificate {NAME} {server.ca_options}"
    documented = replaced(commands("README.md", "wellkeeper setup"), "wellkeeper setup", setup)
    began = time.monotonic()
    output = await machine.shell(f"cd /root; {documented}")
    typed = time.monotonic()
    printed = [line for line in output.splitlines() if line.startswith("  patch ")]
    assert len(printed) == 1, output
    await machine.shell(printed[0])
    serial = await server.until_served()
    print(f"{typed - began:.0f} s for two commands, served after {time.monotonic() - began:.0f} s")  # noqa: T201 - for -rP
    for unit in (RESPONDER, DAEMON):
        assert (await machine.run("systemctl", "is-enabled", unit)).out == "enabled\n"
        assert await server.is_active(unit)
    assert "wellkeeper" not in await machine.shell("find /etc/nginx -name '*.orig' -o -name '*.rej'")
    await machine.reboot()
    assert await server.until_served() == serial
    again = await machine.run_well("wellkeeper", "setup")
    assert "nginx's configuration has everything that it needs." in again


async def test_commands_of_the_manual_setup_lead_to_a_served_certificate(
    release: str, folder: Path, ca: Pebble, tmp_path: Path
) -> None:
    wheels = CACHE / "machine-wheels"
    assert await asyncio.to_thread(wheels.exists), "run scripts/test --booted, which downloads the wheels"
    async with Machine(folder, wheels, CACHE / f"machine-{release}") as machine:
        server = Server(machine, ca)
        await server.trust_ca()
        checkout = await asyncio.to_thread(source_archive, tmp_path)
        await machine.run_well("tar", "-C", "/srv", "-xz", "--strip-components=1", stdin=checkout)
        documented = commands("docs/manual-setup.md", "wellkeeper init")
        documented = replaced(documented, "--agree-to-terms-of-service", server.ca_options)
        documented = re.sub(
            r"^sudoedit .*$", "cp /root/blocks /etc/nginx/sites-enabled/www", documented, flags=re.MULTILINE
        )
        await machine.write("/root/blocks", server_blocks(NAME, "example.org"))
        await machine.shell(f"cd /srv; {documented}")
        serial = await server.until_served()
        await machine.reboot()
        assert await server.until_served() == serial
        await machine.run_well("wellkeeper", "renew", NAME, "--force")
