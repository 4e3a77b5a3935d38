"""A certificate of several names of which one is dead: what is reported, and how the others go on."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from stand.host import Host, running_host
from tests.integration.observed import error_of, installed, outcomes, served

pytestmark = pytest.mark.integration

NAME: Final = "www.example.org"
DEAD: Final = "old.example.org"


async def bury(host: Host) -> None:
    """The CA finds the name at an address where nothing answers, and this host still reads it back."""
    await host.dns.set_addresses(DEAD, "127.0.0.77")


def rename(host: Host, *identifiers: str) -> None:
    host.issuer.configure(replace(host.issuer_settings, certificates={"web": list(identifiers)}))


async def test_names_that_passed_are_reported_and_without_the_dead_one_nothing_waits(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME, DEAD]}) as host:
        await bury(host)
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"})
        reported = error_of(finished, "web")
        assert f"the CA did not accept {DEAD}: " in reported
        assert f"; it accepted 1 other name: {NAME}. " in reported
        assert reported.endswith(f"If {DEAD} is gone, remove it from identifiers.")
        assert outcomes(await host.issuer.run("renew", "--json")) == {"web": "waiting"}
        rename(host, NAME)
        finished = await host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
        assert await served(host, NAME) == installed(host.issuer, "web")
        (shown,) = (await host.issuer.run_well("status", "--check", "--json")).json()["certificates"]
        assert shown["failure"] is None
