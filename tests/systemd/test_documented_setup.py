"""From nothing to a served certificate, by the commands of the documentation as they are written there.

Only names, the CA and its root certificate differ.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

import pytest

from stand.machine import Machine
from stand.pebble import Pebble
from tests.systemd.pages import commands, replaced
from tests.systemd.server import DAEMON, NAME, RESPONDER, Server

pytestmark = [pytest.mark.integration, pytest.mark.booted, pytest.mark.timeout(600)]

# An application beside Debian's default site.
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
    await machine.shell("ln -s ../sites-available/app /etc/nginx/sites-enabled/app; systemctl reload nginx")
    await machine.write_bytes(f"/root/{package.name}", await asyncio.to_thread(package.read_bytes))
    await server.trust_ca()
    setup = f"wellkeeper setup --certificate {NAME} {server.ca_options}"
    documented = replaced(commands("README.md", "wellkeeper setup"), "wellkeeper setup", setup)
    began = time.monotonic()
    output = await machine.shell(f"cd /root; {documented}")
    printed = [line for line in output.splitlines() if line.startswith("  patch ")]
    assert len(printed) == 1, output
    await machine.shell(printed[0])
    serial = await server.until_served()
    print(f"served {time.monotonic() - began:.1f} s after the first command")  # noqa: T201 - shown by pytest -rP
    for unit in (RESPONDER, DAEMON):
        assert (await machine.run("systemctl", "is-enabled", unit)).out == "enabled\n"
        assert await server.is_active(unit)
    assert "wellkeeper" not in await machine.shell("find /etc/nginx -name '*.orig' -o -name '*.rej'")
    await machine.reboot()
    assert await server.until_served() == serial
    again = await machine.run_well("wellkeeper", "setup")
    assert "nginx's configuration has everything that it needs." in again
