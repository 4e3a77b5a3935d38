"""A certificate of several names of which one is dead: what is reported, and how the others go on."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from stand.host import Host, running_host
from tests.integration.observed import error_of, installed, outcomes, served
from wellkeeper_node.certificates import reading

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


def dropping(host: Host) -> None:
    """Allow that the certificate is renewed without dead names."""
    path = host.issuer.config_path
    text = path.read_text()
    assert text.count("profile = ") == 1
    path.write_text(text.replace("profile = ", "drop_failing_names = true\nprofile = "))


def covered(host: Host) -> set[str]:
    chain = (host.issuer.live("web") / "fullchain.pem").read_bytes()
    return {one.value for one in reading.read_certificate(chain).identifiers}


@pytest.mark.timeout(300)
async def test_dead_name_is_dropped_shortly_before_expiry_and_the_failure_stays(folder: Path) -> None:
    """With 70 s of lifetime, a tenth is 7 s, and a quarter stands for three days; a CA must leave at least 60 s."""
    async with running_host(folder, {"web": [NAME, DEAD]}, profiles={"default": 70}) as host:
        dropping(host)
        await host.issuer.run_well("renew")
        assert covered(host) == {NAME, DEAD}
        await bury(host)
        finished = await host.issuer.run("renew")
        while covered(host) == {NAME, DEAD}:
            finished = await host.issuer.run("renew", "--retry", "--json")
        assert (covered(host), finished.exit_code) == ({NAME}, 1)
        assert f"the CA refuses {DEAD}, so the certificate was renewed without: " in error_of(finished, "web")
        assert await served(host, NAME) == installed(host.issuer, "web")

        assert outcomes(await host.issuer.run("renew", "--json")) == {"web": "waiting"}
        checked = await host.issuer.run("status", "--check", "--json")
        assert checked.exit_code == 1
        (shown,) = checked.json()["certificates"]
        assert shown["to_do"] == f"the installed certificate lacks {DEAD}"
        assert f"the CA refuses {DEAD}" in shown["failure"]["message"]

        await host.dns.set_addresses(DEAD, "127.0.0.1")
        await host.issuer.run_well("renew", "--retry")
        assert covered(host) == {NAME, DEAD}
        await host.issuer.run_well("status", "--check")
