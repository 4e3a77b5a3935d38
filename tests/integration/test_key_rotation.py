"""Rotation of keys in a fleet, as docs/key-rotation.md describes it: no renewal fails before, between or after."""

import asyncio
from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from stand.issuer import Finished, Issuer
from stand.node import PROGRAM
from tests.integration.observed import installed, outcomes
from tests.integration.whole_fleets import Fleet, FleetNode, running_fleet
from tests.json_docs import assert_documented
from tests.trust_files import trusting
from wellkeeper_client import trust_file
from wellkeeper_node.agent.keys import NodeKeys

pytestmark = pytest.mark.integration

NAME = "www.example.org"
NODES = ("web2", "web3")


async def renew(fleet: Fleet) -> None:
    """Renew, and wait until every node serves the new certificate."""
    issuer = fleet.host.issuer
    finished = await issuer.run("renew", "--force", "--json")
    assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
    for node in fleet.nodes.values():
        await node.until_served(NAME, installed(issuer, "web"))


async def copy_trust_file(fleet: Fleet, *nodes: str) -> None:
    """Write the trust file of the issuer's host, and copy it to these nodes."""
    await fleet.host.issuer.run_well("trust", "--write")
    for name in nodes:
        trusting(fleet.nodes[name].folder / "trust", trust_file.read(fleet.host.issuer.trust_path))


async def lacking(issuer: Issuer, kind: str, state: str) -> set[str]:
    """Return the nodes that do not trust the key, as `key list` shows them."""
    listed = (await issuer.run_well("key", "list", "--json")).json()
    assert_documented("key list", listed)
    (found,) = [one for one in listed["keys"] if (one["kind"], one["state"]) == (kind, state)]
    return set(found["lacking"])


async def until_trusted(issuer: Issuer, kind: str, state: str, *without: str) -> None:
    """Wait until only these nodes do not trust the key; the time-out of the test is the limit."""
    while await lacking(issuer, kind, state) != set(without):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.5)


async def ids(issuer: Issuer, kind: str) -> dict[str, str]:
    """Return the ids of the keys of this kind by their state."""
    found = (await issuer.run_well("key", "list", "--json")).json()["keys"]
    return {one["state"]: one["id"] for one in found if one["kind"] == kind}


def assert_names(refused: Finished, *nodes: str) -> None:
    assert refused.exit_code == 1
    assert [node for node in ("local", *NODES) if f"{node}: " in refused.err] == list(nodes), refused.err


async def test_publishing_key_is_rotated_without_a_renewal_that_fails(folder: Path) -> None:
    async with running_fleet(folder, {"web": [NAME]}, NODES) as fleet, IssuerDaemon(fleet.host.issuer):
        issuer = fleet.host.issuer
        await renew(fleet)
        prepared = (await issuer.run_well("key", "prepare", "publishing", "--json")).json()
        assert_documented("key prepare", prepared)
        before = await ids(issuer, "publishing")
        assert_names(await issuer.run("key", "switch", "publishing"), "local", *NODES)
        await copy_trust_file(fleet, "web2")
        await until_trusted(issuer, "publishing", "next", "web3")
        assert_names(await issuer.run("key", "switch", "publishing"), "web3")
        await renew(fleet)
        await copy_trust_file(fleet, "web3")
        await until_trusted(issuer, "publishing", "next")
        switched = (await issuer.run_well("key", "switch", "publishing", "--json")).json()
        assert_documented("key switch", switched)
        assert switched["id"] == before["next"]
        await renew(fleet)
        assert_documented("key retire", (await issuer.run_well("key", "retire", "publishing", "--json")).json())
        await copy_trust_file(fleet, *NODES)
        assert len(trust_file.read(issuer.trust_path).publishing_keys) == 1
        await renew(fleet)
        assert await ids(issuer, "publishing") == {"current": before["next"]}


async def test_account_key_is_replaced_once_the_responders_of_all_nodes_trust_the_next_one(folder: Path) -> None:
    async with running_fleet(folder, {"web": [NAME]}, NODES) as fleet, IssuerDaemon(fleet.host.issuer):
        issuer = fleet.host.issuer
        await renew(fleet)
        await issuer.run_well("key", "prepare", "account")
        before = await ids(issuer, "account")
        await copy_trust_file(fleet, "web2")
        await until_trusted(issuer, "account", "next", "web3")
        refused = await issuer.run("key", "switch", "account")
        assert (refused.exit_code, "'web3'" in refused.err, "'web2'" in refused.err) == (1, True, False), refused
        await renew(fleet)
        await copy_trust_file(fleet, "web3")
        await until_trusted(issuer, "account", "next")
        await issuer.run_well("key", "switch", "account")
        await renew(fleet)
        await copy_trust_file(fleet, *NODES)
        await renew(fleet)
        assert await ids(issuer, "account") == {"current": before["next"]}


async def listen(fleet: Fleet) -> None:
    """Run `fleet listen`, and start the relay again with what it wrote, as systemd does."""
    process = fleet.relay.process
    listening = (await fleet.host.issuer.run_well("fleet", "listen", fleet.relay.address, "--json")).json()
    kept = process.argv[: process.argv.index("--fleet-key")]
    process.argv = (*kept, *(word for key in listening["fleet_keys"] for word in ("--fleet-key", key)))
    await fleet.relay.restart()


async def switch_fleet_key(fleet: Fleet) -> None:
    await fleet.host.issuer.run_well("key", "switch", "fleet")
    await listen(fleet)


async def test_fleet_key_is_rotated_twice_while_a_node_is_away_that_catches_up(folder: Path) -> None:
    async with running_fleet(folder, {"web": [NAME]}, NODES) as fleet, IssuerDaemon(fleet.host.issuer):
        issuer, away = fleet.host.issuer, fleet.nodes["web3"]
        await renew(fleet)
        before = await ids(issuer, "fleet")
        await until_trusted(issuer, "fleet", "next")
        await away.agent.process.stop()
        await switch_fleet_key(fleet)
        assert (await ids(issuer, "fleet"))["current"] == before["next"]
        finished = await issuer.run("renew", "--force", "--without", "web3", "--json")
        assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
        await fleet.nodes["web2"].until_served(NAME, installed(issuer, "web"))
        await issuer.run_well("key", "retire", "fleet")
        await until_trusted(issuer, "fleet", "next", "web3")
        refused = await issuer.run("key", "switch", "fleet")
        assert_names(refused, "web3")
        await away.agent.process.start(away.agent.is_ready)
        await away.until_served(NAME, installed(issuer, "web"))
        await until_trusted(issuer, "fleet", "next")
        await renew(fleet)
        await switch_fleet_key(fleet)
        await renew(fleet)
        await until_trusted(issuer, "fleet", "next")
        after = await ids(issuer, "fleet")
        assert len({*before.values(), after["current"], after["next"]}) == 4


async def test_node_replaces_its_keys_and_gets_the_next_certificate_with_them(folder: Path) -> None:
    async with running_fleet(folder, {"web": [NAME]}, NODES) as fleet, IssuerDaemon(fleet.host.issuer):
        node, keys = fleet.nodes["web2"], NodeKeys(folder / "web2/state")
        await renew(fleet)
        before, others = keys.public, NodeKeys(folder / "web3/state").public
        await rotate(node)
        await renew(fleet)
        while keys.following is not None:  # noqa: ASYNC110 - a process changes it
            await asyncio.sleep(0.05)
        await renew(fleet)
        enrolled = (await fleet.host.issuer.run_well("node", "list", "--json")).json()["nodes"]
        found = {one["name"]: (one["signing_key"], one["sealing_key"]) for one in enrolled}
        assert found == {"web2": keys.public.texts, "web3": others.texts}
        assert not set(before.texts) & set(keys.public.texts)


async def rotate(node: FleetNode) -> None:
    command = (str(PROGRAM), "rotate", "--config", str(node.agent.config_path))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0, out
