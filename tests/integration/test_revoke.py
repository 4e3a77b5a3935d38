"""Revocation and replacement of certificates at a real CA."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from stand.daemon import IssuerDaemon
from stand.host import Host, running_host
from tests.integration.observed import installed, outcomes, served
from tests.json_docs import assert_documented
from wellkeeper_node.certificates import reading

pytestmark = pytest.mark.integration

NAME = "www.example.org"


async def status(host: Host) -> tuple[str, Any]:
    """Return the CA's status and reason for the live certificate."""
    serial = reading.read_certificate((host.issuer.live("web") / "cert.pem").read_bytes()).serial
    found = await host.ca.status_of(serial)
    return found["Status"], found.get("Reason")


async def revoked_and_replaced(host: Host, reason: int, *arguments: str) -> None:
    """Check the life of a certificate: valid, revoked and still served, replaced."""
    fingerprint = installed(host.issuer, "web")
    assert await status(host) == ("Valid", None)
    done = await host.issuer.run_well("revoke", "web", *arguments)
    assert await status(host) == ("Revoked", reason)
    assert "is revoked; nginx serves it until it is replaced: the next renewal replaces it" in done.out
    assert await served(host, NAME) == fingerprint
    again = await host.issuer.run_well("revoke", "web", *arguments, "--json")
    assert again.json()["was_revoked_already"] is True
    assert_documented("revoke", again.json())
    finished = await host.issuer.run("renew", "--json")
    assert outcomes(finished) == {"web": "served"}, finished
    assert finished.json()["certificates"][0]["reason"].startswith("it was revoked at ")
    assert installed(host.issuer, "web") != fingerprint


async def test_revoked_certificate_is_served_until_the_next_pass_replaces_it(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        await revoked_and_replaced(host, 0)
        await revoked_and_replaced(host, 1, "--reason", "keyCompromise")
        await revoked_and_replaced(host, 4, "--reason", "superseded", "--with-certificate-key")


async def test_daemon_replaces_a_revoked_certificate_at_once(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host, IssuerDaemon(host.issuer) as daemon:
        await daemon.until(certificate="web", stage="verify", event="finished")
        before = installed(host.issuer, "web")
        done = await host.issuer.run_well("revoke", "web")
        assert done.out.endswith("is revoked; the daemon has replaced it\n")
        assert await served(host, NAME) == installed(host.issuer, "web") != before


async def test_certificate_key_revokes_without_account_and_state(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.issuer.run_well("renew")
        shutil.rmtree(host.issuer.state_dir / "accounts")
        refused = await host.issuer.run("revoke", "web")
        assert refused.exit_code == 2
        assert "no account key for the CA" in refused.err
        for path in list(host.issuer.state_dir.glob("state.*")):
            path.unlink()
        done = await host.issuer.run_well("revoke", "web", "--with-certificate-key", "--reason", "cessationOfOperation")
        assert await status(host) == ("Revoked", 5)
        assert "the CA that issued web is not recorded; asking localhost (choose another with --ca)" in done.err


async def test_impossible_revocation_is_reported(folder: Path) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        for name, words in (("web", "'web' has no CA-issued certificate to revoke in "), ("x", "is named 'x'")):
            refused = await host.issuer.run("revoke", name)
            assert refused.exit_code == 2
            assert words in refused.err
