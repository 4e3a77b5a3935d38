"""Nodes behind a real relay: they hold tokens before the CA is asked, and get what was issued."""

import json
from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from tests.integration.observed import asked, error_of, orders, outcomes
from tests.integration.played_agents import NAME, PlayedFleet, played_fleet
from tests.responder.http import ask
from tests.responder.messages import TOKEN
from wellkeeper_client import trust_file, wire
from wellkeeper_node.agent.report import CertificateState
from wellkeeper_responder.settings import UnixAddress

pytestmark = pytest.mark.integration

NODES = ("web2", "web3")


def live_chain(fleet: PlayedFleet) -> bytes:
    return (fleet.host.issuer.live("web") / "fullchain.pem").read_bytes()


async def renewed(fleet: PlayedFleet, *arguments: str) -> None:
    finished = await fleet.host.issuer.run("renew", "--json", *arguments)
    assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished


async def test_node_without_the_token_is_named_and_the_order_resumed_after_the_repair(folder: Path) -> None:
    async with played_fleet(folder, NODES) as fleet:
        fleet.agents["web3"].cause = "nginx denies it"
        finished = await fleet.host.issuer.run("renew", "--json")
        assert (finished.exit_code, outcomes(finished)) == (1, {"web": "failed"}), finished
        assert "node 'web3' at 127.0.0.1:80: http://www.example.org/ gave HTTP 403: nginx denies it" in error_of(
            finished, "web"
        )
        assert asked(fleet.host.ca, "/chalZ") == 0
        fleet.agents["web3"].cause = None
        await renewed(fleet, "--retry")
        assert orders(fleet.host.ca) == 1
        for agent in fleet.agents.values():
            assert (await agent.has(1)).pair.chain_pem == live_chain(fleet)


async def test_renewals_of_a_daemon_reach_nodes_although_the_relay_dies_in_between(folder: Path) -> None:
    async with played_fleet(folder, NODES, is_relay_up=False) as fleet:
        async with IssuerDaemon(fleet.host.issuer) as daemon:
            failed = await fleet.host.issuer.run("renew", "web", "--json")
            assert outcomes(failed) == {"web": "failed"}
            assert "cannot reach the relay" in error_of(failed, "web")
            for number in (1, 2):
                async with fleet.relay:
                    for agent in fleet.agents.values():
                        await agent.is_connected()
                    await renewed(fleet, "web", "--force")
                    for agent in fleet.agents.values():
                        assert (await agent.has(number)).pair.chain_pem == live_chain(fleet)
            for agent in fleet.agents.values():
                agent.bundle = None
            async with fleet.relay:
                for agent in fleet.agents.values():
                    assert (await agent.has(2)).pair.chain_pem == live_chain(fleet)
            assert "the relay answers again" in daemon.log
        assert orders(fleet.host.ca) == 2


async def test_wrong_certificate_on_two_nodes_goes_back(folder: Path) -> None:
    async with played_fleet(folder, NODES) as fleet, IssuerDaemon(fleet.host.issuer):
        first = await fleet.agents["web2"].has(1)
        for agent in fleet.agents.values():
            agent.state = CertificateState.WRONG
        await renewed(fleet, "web", "--force")
        for agent in fleet.agents.values():
            found = await agent.has(3)
            assert found.version.archive_name == first.version.archive_name
        assert live_chain(fleet) != first.pair.chain_pem


async def test_node_that_is_away_can_be_left_out(folder: Path) -> None:
    async with played_fleet(folder, NODES) as fleet:
        fleet.agents["web3"].cause = "nginx is stopped"
        unknown = await fleet.host.issuer.run("renew", "--without", "web9")
        assert unknown.exit_code == 2
        assert "cannot leave out node 'web9'" in unknown.err
        assert "nodes that joined are: web2, web3" in unknown.err
        await renewed(fleet, "--without", "web3")
        async with IssuerDaemon(fleet.host.issuer):
            await renewed(fleet, "web", "--force", "--without", "web3")


async def test_reloaded_settings_reach_the_nodes(folder: Path) -> None:
    async with played_fleet(folder, NODES) as fleet, IssuerDaemon(fleet.host.issuer) as daemon:
        issuer, agents = fleet.host.issuer, fleet.agents.values()
        for agent in agents:
            await agent.has(1)
        text = issuer.config_path.read_text()
        more = "[[certificates]]\nname = 'mail'\nidentifiers = ['mail.example.org']\nhttps_addresses = []\n"
        issuer.config_path.write_text(f"{text}\n{more}")
        await issuer.run_well("reload")
        await daemon.until(certificate="mail", stage="reload", event="finished")
        for agent in agents:
            await agent.lists({"web", "mail"})
        issuer.config_path.write_text(text.replace('name = "web"', 'name = "mail"'))
        await issuer.run_well("reload")
        for agent in agents:
            await agent.lists({"mail"})


async def test_rehearsal_reaches_nodes_with_and_without_a_daemon(folder: Path) -> None:
    async with played_fleet(folder, NODES) as fleet:
        await renewed(fleet)
        done = (await fleet.host.issuer.run_well("rehearse", "--json")).json()
        details = [one["detail"] for one in done["steps"] if one["step"] == "publish"]
        assert details == ["1 token, read back from 1 address, and by 2 other nodes"]
        fleet.agents["web3"].cause = "nginx denies it"
        async with IssuerDaemon(fleet.host.issuer):
            failed = await fleet.host.issuer.run("rehearse", "--json")
        assert failed.exit_code == 1
        assert "node 'web3' at 127.0.0.1:80" in failed.json()["rehearsals"][0]["detail"]
        assert orders(fleet.host.ca) == 1


async def test_issuer_on_a_host_without_nginx_renews_for_its_nodes(folder: Path) -> None:
    # The played agents have no responder, so the CA takes every challenge as answered.
    async with played_fleet(folder, NODES, environment={"PEBBLE_VA_ALWAYS_VALID": "1"}) as fleet:
        path = fleet.host.issuer.config_path
        text = path.read_text()
        nodes, certificates = text.index("[[nodes]]"), text.index("[[certificates]]")
        text = text[:nodes] + text[certificates:]
        nginx = f"command = {json.dumps(list(fleet.host.issuer_settings.nginx_command))}"
        path.write_text("local_node = false\n" + text.replace(nginx, "command = ['false']"))
        fleet.agents["web3"].cause = "nginx denies it"
        failed = await fleet.host.issuer.run("renew", "--json")
        assert outcomes(failed) == {"web": "failed"}, failed
        assert "node 'web3'" in error_of(failed, "web")
        fleet.agents["web3"].cause = None
        finished = await fleet.host.issuer.run("renew", "--json", "--retry")
        assert finished.exit_code == 0, finished
        for agent in fleet.agents.values():
            assert (await agent.has(1)).pair.chain_pem == live_chain(fleet)
        assert (await fleet.host.issuer.run("status", "--check")).exit_code == 0
        assert (await fleet.host.issuer.run("renew")).exit_code == 0


async def test_token_of_another_client_is_served_by_all_nodes_or_withdrawn_from_all(folder: Path) -> None:
    async with played_fleet(folder, NODES) as fleet:
        issuer = fleet.host.issuer
        [thumbprint, *_] = trust_file.read(issuer.trust_path).account_thumbprints
        publish = ("publish", NAME, f"{TOKEN}.{thumbprint}")
        await issuer.run_well(*publish)
        await _held(fleet, is_so=True)
        await issuer.run_well("publish", "--withdraw", TOKEN)
        await _held(fleet, is_so=False)
        fleet.agents["web3"].cause = "nginx denies it"
        async with IssuerDaemon(issuer):
            refused = await issuer.run(*publish)
            assert (refused.exit_code, refused.out) == (1, "")
            assert "node 'web3' at 127.0.0.1:80" in refused.err
            await _held(fleet, is_so=False)
            await issuer.run_well(*publish, "--without", "web3")
        await _held(fleet, is_so=True)


async def _held(fleet: PlayedFleet, *, is_so: bool) -> None:
    """Check that this host serves the token or not, and wait until each node has a publication that counts or not."""
    address = UnixAddress(fleet.host.responder.public_socket)
    served = await ask(address, "GET", wire.CHALLENGE_PREFIX + TOKEN, {wire.READ_BACK_HEADER: "1"})
    assert (served.status == 200) is is_so
    for agent in fleet.agents.values():
        await agent.holds_any(is_so=is_so)
