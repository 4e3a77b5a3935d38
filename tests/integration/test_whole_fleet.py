"""Issuer, relay and the agent of another node, all real: tokens and certificates reach both nginx."""

import asyncio
import shutil
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from stand.issuer import Issuer
from tests.fakes_deliver import FakeCa, dns
from tests.integration.observed import asked, error_of, installed, orders, outcomes, reload
from tests.integration.whole_fleets import running_fleet
from tests.json_docs import assert_documented
from wellkeeper_node.certificates import reading
from wellkeeper_node.wording import format_time

pytestmark = pytest.mark.integration

NAME = "www.example.org"
CERTIFICATES = {"web": [NAME]}


async def test_renewal_reaches_another_node(folder: Path) -> None:
    async with running_fleet(folder, CERTIFICATES, ["web2"]) as fleet:
        finished = await fleet.host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
        assert await fleet.nodes["web2"].served(NAME) == installed(fleet.host.issuer, "web")


async def test_certificate_of_another_client_reaches_another_node(folder: Path) -> None:
    async with running_fleet(folder, CERTIFICATES, ["web2"]) as fleet:
        issuer, node, pair = (
            fleet.host.issuer,
            fleet.nodes["web2"],
            FakeCa(datetime.now(UTC)).pair(dns("*.example.org")),
        )
        chain, key = folder / "fullchain.pem", folder / "privkey.pem"
        chain.write_bytes(pair.chain_pem)
        key.write_bytes(pair.certificate_key_pem)
        config = node.nginx.config_path
        config.write_text(config.read_text().replace(f"{node.folder}/certificates/live/web/", f"{folder}/placeholder/"))
        shutil.copytree(node.folder / "certificates/live/web", folder / "placeholder")
        await reload(node.nginx)
        config.write_text(
            config.read_text().replace(f"{folder}/placeholder/", f"{node.folder}/certificates/live/wild/")
        )
        files = "--chain", str(chain), "--key", str(key)
        delivered = (await issuer.run_well("deliver", "wild", *files, "--json")).json()
        assert_documented("deliver", delivered)
        assert delivered["nodes"] == {"count": 1, "behind": {}}
        assert await node.served(NAME) == installed(issuer, "wild")
        assert (await issuer.run_well("deliver", "wild", *files)).out.endswith("\n  on 1 of 1 other node\n")


async def test_nginx_that_is_broken_elsewhere_is_shown_with_what_it_serves_and_recovers_by_itself(folder: Path) -> None:
    async with running_fleet(folder, CERTIFICATES, ["web2"]) as fleet, IssuerDaemon(fleet.host.issuer):
        issuer, node = fleet.host.issuer, fleet.nodes["web2"]
        config = node.nginx.config_path
        good, before = config.read_text(), await node.served(NAME)
        config.write_text(good + "server_of_others;")
        await issuer.run_well("renew", "web")
        status = await shown(issuer, 'unknown directive "server_of_others"')
        assert "0 of 1" in status
        assert "clients get an older version, serial " in await explained(issuer, "older")
        assert await node.served(NAME) == before
        config.write_text(good)
        await node.until_served(NAME, installed(issuer, "web"))
        assert "1 of 1" in await shown(issuer, "1 of 1")
        await explained(issuer, "newest")
        pair = FakeCa(datetime.now(UTC)).pair(dns(NAME))
        chain, key = folder / "fullchain.pem", folder / "privkey.pem"
        chain.write_bytes(pair.chain_pem)
        key.write_bytes(pair.certificate_key_pem)
        config.write_text(good.replace(f"{node.folder}/certificates/live/web/", f"{folder}/"))
        await reload(node.nginx)
        node.agent.process.signal(signal.SIGHUP)
        leaf = reading.read_certificate(pair.chain_pem)
        words = f"clients get another certificate, serial {leaf.serial}, valid until {format_time(leaf.not_after)}"
        assert words in await explained(issuer, "other")


async def explained(issuer: Issuer, what: str) -> str:
    """Wait until clients of the other node get this, as `why` says, and return its sentences."""
    while True:
        found = (await issuer.run_well("why", "web", "--json")).json()
        if found["nodes"][0]["what"] == what:
            return "\n".join(found["why"])
        await asyncio.sleep(0.5)


async def shown(issuer: Issuer, words: str) -> str:
    """Wait until `status --nodes` has these words, and return all of it; the time-out of the test is the limit."""
    while words not in (found := (await issuer.run_well("status", "--nodes")).out):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.5)
    return found


async def test_ca_is_not_asked_while_a_node_lacks_the_token_and_the_order_continues_after_the_repair(
    folder: Path,
) -> None:
    async with running_fleet(folder, CERTIFICATES, ["web2"]) as fleet, IssuerDaemon(fleet.host.issuer):
        issuer, node = fleet.host.issuer, fleet.nodes["web2"]
        await node.responder.process.stop()
        finished = await issuer.run("renew", "web", "--json")
        assert outcomes(finished) == {"web": "failed"}, finished
        assert "web2" in error_of(finished, "web")
        assert asked(fleet.host.ca, "/chalZ") == 0
        await node.responder.process.start(node.responder.is_ready)
        finished = await issuer.run("renew", "web", "--retry", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
        assert orders(fleet.host.ca) == 1
        await node.until_served(NAME, installed(issuer, "web"))
