"""node remove --compromised: it says what it costs before it asks; nothing that the node could read stays in use."""

from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from stand.issuer import Issuer
from tests.fakes_deliver import FakeCa, dns
from tests.integration.played_agents import played_fleet
from tests.integration.test_terminal import type_and_watch
from tests.integration.two_cas import two_cas
from tests.responder.messages import NOW
from wellkeeper_issuer.outside.keys.accounts import AccountFolder
from wellkeeper_issuer.outside.state.rows import to_time
from wellkeeper_issuer.outside.state.state import JOURNAL, open_state
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.folders import CertificateFolders

pytestmark = pytest.mark.integration

SETTINGS = """
[[certificates]]
name = 'web'
identifiers = ['web.example.org']
[[certificates]]
name = 'mail'
identifiers = ['mail.example.org']
reuse_key = true
"""
OTHERS = ("a", "b", "c", "d", "e")


async def test_question_has_the_certificates_and_the_limits(folder: Path) -> None:
    issuer = Issuer(folder)
    issuer.config_path.parent.mkdir(parents=True)
    places = f"state_dir = '{issuer.state_dir}'\ncertificates_dir = '{issuer.certificates_dir}'\n"
    more = [f"[[certificates]]\nname = '{one}'\nidentifiers = ['{one}.example.org', '{one}.example']" for one in OTHERS]
    issuer.config_path.write_text("\n".join([places, SETTINGS, *more]))
    AccountFolder(issuer.state_dir, ()).make_keys()
    folders, ca = CertificateFolders(issuer.certificates_dir), FakeCa(datetime.now(UTC))
    for name in ("web", "mail", *OTHERS):
        await folders.switch(name, await folders.write(name, ca.pair(dns(f"{name}.example.org"))))
    async with open_state(issuer.state_dir / JOURNAL, may_write=True) as state:
        await state.fleet.record_node(EnrolledNode("web2", "s", "x", ("*",), answers=True, enrolled_at=to_time(NOW)))
    session = await type_and_watch(issuer, "node", "remove", "web2", "--compromised", typed="n\n", columns=200)
    assert "Needs 7 new certificates: web, mail, a, b, c, d, e" in session.screen
    assert "letsencrypt allows 50 certificates per registered domain (example.org) in 7 days: 0 used, this takes 7" in (
        session.screen
    )
    assert "letsencrypt allows 5 certificates per exact set (mail.example.org) in 7 days: 0 used, this takes 1" in (
        session.screen
    )
    assert "… and 4 more limits, of which more is left" in session.screen
    assert "Remove node web2, replace and revoke 7 certificates? [y/N]: " in session.screen
    assert "Nothing was removed." in session.screen
    assert [one["name"] for one in (await issuer.run_well("node", "list", "--json")).json()["nodes"]] == ["web2"]


@pytest.mark.parametrize("has_daemon", [True, False])
async def test_what_a_compromised_node_could_read_is_replaced_and_revoked(folder: Path, has_daemon: bool) -> None:
    async with played_fleet(folder, ("web2", "web3")) as fleet, AsyncExitStack() as stack:
        issuer, ca = fleet.host.issuer, fleet.host.ca
        text = issuer.config_path.read_text()
        issuer.config_path.write_text(text.replace('name = "web"', 'name = "web"\nreuse_key = true'))
        await issuer.run_well("renew")
        stolen = await fleet.agents["web2"].has(1)
        before = reading.read_certificate(stolen.pair.chain_pem)
        if has_daemon:
            await stack.enter_async_context(IssuerDaemon(issuer))
        found = (await issuer.run_well("node", "remove", "web2", "--compromised", "--yes", "--json")).json()
        assert [(one["name"], one["outcome"]) for one in found["certificates"]] == [("web", "served")]
        assert (found["revoked"], found["not_revoked"]) == (["web"], {})
        status = await ca.status_of(before.serial)
        assert (status["Status"], status["Reason"]) == ("Revoked", 1)
        kept = await fleet.agents["web3"].has(2)
        assert kept.pair.certificate_key_pem != stolen.pair.certificate_key_pem
        assert fleet.agents["web3"].disowned == {before.fingerprint_sha256}
        assert fleet.agents["web2"].bundle == stolen


async def test_each_version_is_revoked_at_the_ca_that_issued_it(folder: Path) -> None:
    async with two_cas(folder, "web.example.org") as cas:
        issuer, leaves = cas.host.issuer, []
        for names in (("first", "second"), ("second", "first")):
            issuer.configure(replace(cas.host.issuer_settings, directory_url=names))
            await issuer.run_well("renew", "--force")
            leaves.append(reading.read_certificate((issuer.certificates_dir / "live/web/fullchain.pem").read_bytes()))
        assert cas.issued == (1, 1)
        async with open_state(issuer.state_dir / JOURNAL, may_write=True) as state:
            await state.fleet.record_node(
                EnrolledNode("web2", "s", "x", ("*",), answers=True, enrolled_at=to_time(NOW))
            )
        found = (await issuer.run_well("node", "remove", "web2", "--compromised", "--yes", "--json")).json()
        assert (found["revoked"], found["not_revoked"]) == (["web"], {})
        for ca, leaf in zip((cas.host.ca, cas.second), leaves, strict=True):
            status = await ca.status_of(leaf.serial)
            assert (status["Status"], status["Reason"]) == ("Revoked", 1)
