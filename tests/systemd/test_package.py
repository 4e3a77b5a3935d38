"""The Debian package on booted machines: installation, first certificate, reboot, upgrade, removal and purge."""

import asyncio
from pathlib import Path

import pytest

from tests.systemd.server import DAEMON, NAME, RESPONDER, Server

pytestmark = [pytest.mark.integration, pytest.mark.booted, pytest.mark.timeout(600)]


async def test_lintian_reports_nothing(package: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        "lintian",
        *("--allow-root", "--fail-on", "error,warning,info", package),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert (process.returncode, output.decode()) == (0, "")


async def test_first_certificate_is_served_and_again_after_a_reboot(server: Server) -> None:
    await server.start_daemon()
    serial = await server.served()
    await server.machine.reboot()
    assert await server.until_served() == serial
    for unit in (RESPONDER, DAEMON):
        assert await server.is_active(unit)
    await server.machine.run_well("wellkeeper", "renew", NAME, "--force")
    assert await server.until_served(other_than=str(serial))
