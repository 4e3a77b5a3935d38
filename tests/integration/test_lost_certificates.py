"""Certificates that are lost while the daemon runs: nginx must not serve placeholders for hours."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from stand.daemon import IssuerDaemon
from stand.host import running_host
from tests.integration.observed import installed, served

pytestmark = pytest.mark.integration

NAME: Final = "www.example.org"


@pytest.mark.timeout(300)
async def test_lost_directory_that_placeholders_replaced_is_noticed_by_the_daemon(folder: Path) -> None:
    """As after `placeholder`, which lets nginx start again."""
    async with running_host(folder, {"web": [NAME]}) as host:
        host.issuer.configure(replace(host.issuer_settings, reload_interval_seconds=0.1))
        async with IssuerDaemon(host.issuer) as daemon:
            await daemon.until(certificate="web", stage="verify", event="finished")
            await host.issuer.run_well("status", "--check")
            shutil.move(host.issuer.certificates_dir, folder / "away")
            await host.issuer.run_well("placeholder")
            assert "does it within a minute" in (await host.issuer.run_well("why", "web")).out
            # No one waits for a minute here.
            await host.issuer.run_well("reload")
            await daemon.until(certificate="web", stage="verify", event="finished")
            await host.issuer.run_well("status", "--check")
        assert await served(host, NAME) == installed(host.issuer, "web")


@pytest.mark.timeout(300)
async def test_lost_link_is_noticed_by_the_daemon_without_help(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        host.issuer.configure(replace(host.issuer_settings, reload_interval_seconds=0.1))
        async with IssuerDaemon(host.issuer) as daemon:
            await daemon.until(certificate="web", stage="verify", event="finished")
            await host.issuer.run_well("status", "--check")
            host.issuer.live("web").unlink()
            await daemon.until(certificate="web", stage="verify", event="finished")
        assert await served(host, NAME) == installed(host.issuer, "web")
