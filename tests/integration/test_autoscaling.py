"""A reusable invite with real programs: relay, daemon and nodes; what each node sees when it may not join."""

import asyncio
import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from tests.integration.test_joining import Host, listening
from wellkeeper_client.joining import Invite, parse_invite
from wellkeeper_node import settings
from wellkeeper_node.agent.join import join
from wellkeeper_node.agent.keys import NodeKeys
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import FleetError
from wellkeeper_node.records.relay import RelayRecords

pytestmark = pytest.mark.integration


async def invite(host: Host, uses: int) -> tuple[Invite, str]:
    """Return an invite, and its id."""
    options = (f"--uses={uses}", "--for=30d", "--ephemeral", "--certificates=web", "--json")
    found = (await host.issuer.run_well("node", "invite", *options)).json()
    return parse_invite(found["invite"]), found["id"]


async def test_nodes_join_with_a_reusable_invite_until_it_is_used_up_or_revoked(folder: Path) -> None:
    async with listening(folder) as host:
        async with IssuerDaemon(host.issuer):
            made, name = await invite(host, 2)
            for place in ("web2", "web2"):  # an interrupted join is repeated
                finished = await host.join(made.line, place)
                assert finished.exit_code == 0, finished
        async with IssuerDaemon(host.issuer):  # it knows from the state who has joined
            assert (await host.join(made.line, "web3", "--name=web3")).exit_code == 0
            used_up = await host.join(made.line, "web4")
            assert (used_up.exit_code, "all 2 uses of its invite are used" in used_up.err) == (1, True), used_up
            (listed,) = (await host.issuer.run_well("node", "invites", "--json")).json()["invites"]
            first = settings.read(folder / "web2/etc/node.toml").name
            assert (listed["used"], sorted(listed["joined"])) == (2, sorted([first, "web3"]))
            other, revoked = await invite(host, 2)
            taken = await host.join(other.line, "web5", "--name=web3")
            assert (taken.exit_code, "a node with this name has joined" in taken.err) == (1, True), taken
            await host.issuer.run_well("node", "invite", "--revoke", revoked)
            refused = await host.join(other.line, "web5")
            assert refused.exit_code == 1
            assert "was revoked" in refused.err
            nodes = {one["name"]: one for one in (await host.node_list())["nodes"]}
    assert nodes.keys() == {first, "web3"}
    assert all(one["is_ephemeral"] and one["certificates"] == ["web"] for one in nodes.values())
    assert name != revoked


async def test_sixty_nodes_ask_at_once_and_exactly_fifty_join(folder: Path) -> None:
    """Play the nodes here: sixty processes would only take longer. All have one address, as behind a NAT."""
    async with listening(folder) as host, IssuerDaemon(host.issuer):
        made, _ = await invite(host, 50)
        found = await asyncio.gather(*(play(made, folder / f"node{number}") for number in range(60)))
        assert sorted(found) == ["all 50 uses of its invite are used"] * 10 + ["joined"] * 50
        assert len((await host.node_list())["nodes"]) == 50


async def play(made: Invite, folder: Path) -> str:
    """Join as a new node, and return what came of it."""
    keys, clock = NodeKeys(folder), SystemClock()
    keys.make()
    relay = RelayRecords(made.addresses[0], clock)
    try:
        await join(replace(made, node=f"web-{secrets.token_hex(4)}"), keys.public, [relay], "1.2.3", clock)
    except FleetError as error:
        return error.why
    finally:
        await relay.close()
    return "joined"
