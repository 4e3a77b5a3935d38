"""A list of two real CAs: the second one issues in the same pass when the first one does not."""

from pathlib import Path
from typing import Any

import pytest

from stand.daemon import IssuerDaemon
from tests.integration.observed import asked, outcomes, replaced
from tests.integration.two_cas import TwoCas, two_cas

pytestmark = pytest.mark.integration

NAME = "www.example.org"
BLOCKED = "www.blocked-domain.example"


async def falls_back(cas: TwoCas, words: str) -> None:
    """Run a pass that falls back to the second CA and reports why the first does not issue."""
    finished = await cas.host.issuer.run("renew", "--json")
    assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
    assert "WARNING: " in finished.err
    assert words in finished.err
    await cas.is_served(cas.second)


async def test_ca_that_is_down_is_replaced_in_the_same_pass_and_preferred_again_at_the_next_renewal(
    folder: Path,
) -> None:
    async with two_cas(folder, NAME, has_proxy=True, nonces_rejected_percent=0) as cas:
        first = cas.host.proxy
        assert first is not None
        await first.leave()
        await falls_back(cas, "Connection refused")
        assert cas.issued == (0, 1)
        assert "(the CA second)" in (await cas.host.issuer.run_well("why", "web")).out
        await first.come_back()
        await cas.host.issuer.run_well("renew", "--force")
        assert cas.issued == (1, 1)
        # It is not asked to replace a certificate of another CA.
        assert replaced(cas.host) == [None]
        await cas.is_served(cas.host.ca)
        assert "(the CA first)" in (await cas.host.issuer.run_well("why", "web")).out


@pytest.mark.parametrize(
    ("name", "of_the_first", "words"),
    [
        (NAME, {"external_accounts": {"kid-1": "AAECAwQFBgcICQoLDA0ODw"}}, "it requires external account binding"),
        (BLOCKED, {}, "rejectedIdentifier"),
    ],
    ids=["customers only", "name refused"],
)
async def test_ca_that_refuses_is_replaced_in_the_same_pass(
    folder: Path, name: str, of_the_first: dict[str, Any], words: str
) -> None:
    async with two_cas(folder, name, **of_the_first) as cas:
        await falls_back(cas, words)
        assert cas.issued == (0, 1)
        nothing = await cas.host.issuer.run_well("renew", "--json")
        assert outcomes(nothing) == {"web": "unchanged"}


async def test_unpinned_second_ca_is_warned_about_at_start_and_never_asked(folder: Path) -> None:
    async with two_cas(folder, NAME, pinned_count=1) as cas:
        await cas.host.issuer.run_well("renew")
        async with IssuerDaemon(cas.host.issuer) as daemon:
            reported = (await daemon.until(level="warning", logger="pins"))["detail"]
            assert "does not trust our account key at the CA second (thumbprint " in reported
            assert "Run 'wellkeeper trust --write'." in reported
            await cas.host.ca.process.stop()
            failed = await cas.host.issuer.run("renew", "--force", "web", "--json")
            assert failed.exit_code == 1
            # The first CA may come back before the second one is pinned.
            assert "Connection refused" in str(failed.json()["certificates"][0]["error"])
            assert "does not trust our account key at the CA second" in daemon.log
        assert asked(cas.second, "/order-plz") == 0


async def test_no_warning_at_start_when_both_cas_are_pinned(folder: Path) -> None:
    async with two_cas(folder, NAME) as cas, IssuerDaemon(cas.host.issuer) as daemon:
        await daemon.until(certificate="web", stage="verify", event="finished")
        warnings = [line for line in daemon.log.splitlines() if '"level": "warning"' in line]
        # The daemon warns when /tmp is in memory.
        assert [line for line in warnings if "lies on tmpfs" not in line] == []
