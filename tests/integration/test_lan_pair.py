"""A pair of nodes with one address that moves between them: renewals continue, and both have the newest certificate."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from stand.daemon import IssuerDaemon
from stand.fault_proxy import Asked, Fault, Forward, Kind, Reply
from stand.keepalived import Keepalived
from stand.lan import Lan
from stand.processes import PROJECT
from tests.integration.lan_fleet import LINEAGE, NAME, LanFleet, LanNode, handshake, running_lan
from tests.integration.observed import installed, orders, outcomes

pytestmark = [pytest.mark.integration, pytest.mark.network]

PAGE: Final = PROJECT / "docs/load-balancers.md"
ADDRESS: Final = "10.77.0.100"


class Visitor:
    """Makes handshakes at the address of the pair all the time. While the address moves, they may fail."""

    def __init__(self) -> None:
        self._arrived, self._made = asyncio.Event(), asyncio.Event()
        self.leaves: list[str] = []
        self.failures: list[str] = []

    async def run(self) -> None:
        while True:
            began_moving = not self._arrived.is_set()
            try:
                self.leaves.append(await handshake(ADDRESS))
            except OSError as error:
                if self._arrived.is_set():
                    self.failures.append(repr(error))
            else:
                self._made.set()
                if began_moving:
                    self._arrived.set()

    def moves(self) -> None:
        """Let handshakes fail until one succeeds that begins after this."""
        self._arrived.clear()

    async def arrives(self) -> None:
        await self._arrived.wait()

    async def sees(self, leaf: str) -> None:
        """Wait for this leaf in a handshake; the time-out of the test is the limit."""
        while self.leaves[-1] != leaf:
            self._made.clear()
            await self._made.wait()


def configuration() -> str:
    """Return keepalived.conf as in the documentation, with the address of the test."""
    (found,) = re.findall(r"```\w*\n(# /etc/keepalived/keepalived\.conf.*?)```", PAGE.read_text(), re.DOTALL)
    changed, count = re.subn(r"virtual_ipaddress \{\s+\S+", f"virtual_ipaddress {{\n{ADDRESS}/24", found)
    assert count == 1
    assert "interface eth0" in changed
    return changed


@asynccontextmanager
async def running_pair(fleet: LanFleet) -> AsyncIterator[Visitor]:
    """Run keepalived on web2, which takes the address, and on web3."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(Keepalived(folder_of(fleet, "web2"), configuration(), fleet.nodes["web2"].host))
        visitor = Visitor()
        visiting = asyncio.create_task(visitor.run())
        stack.callback(visiting.cancel)
        await visitor.arrives()
        await stack.enter_async_context(Keepalived(folder_of(fleet, "web3"), configuration(), fleet.nodes["web3"].host))
        yield visitor


async def is_only_at(one: LanNode, other: LanNode) -> None:
    """Wait until one node has the address; the time-out of the test is the limit."""
    while [await asyncio.to_thread(node.host.has, ADDRESS) for node in (one, other)] != [True, False]:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


def folder_of(fleet: LanFleet, node: str) -> Path:
    return fleet.nodes[node].agent.config_path.parent


def losing_power(node: LanNode, visitor: Visitor) -> Fault:
    """Return a fault in which the CA fetches the token after the node has lost its power, and the address has moved."""

    async def lose_power(_: Asked, forward: Forward) -> Reply:
        visitor.moves()
        node.host.unplug()
        await visitor.arrives()
        return await forward()

    return lose_power


async def test_pair_renews_although_its_address_moves(lan: Lan, folder: Path) -> None:
    async with running_lan(lan, folder) as fleet, IssuerDaemon(fleet.host.issuer) as daemon:
        await daemon.until(stage="verify", event="finished")
        await fleet.is_served()
        first, second = fleet.nodes["web2"], fleet.nodes["web3"]
        async with running_pair(fleet) as visitor:
            await fleet.host.dns.set_addresses(NAME, ADDRESS)
            fleet.ca.stage(Kind.CHALLENGE, losing_power(first, visitor))
            finished = await fleet.renew("--force")
            # Pebble reuses one authorization in a hundred; then it fetches no token.
            if is_reused := fleet.ca.staged(Kind.CHALLENGE) > 0:
                finished = await fleet.renew("--force")
            assert (finished.exit_code, outcomes(finished)) == (0, {LINEAGE: "served"}), finished
            await fleet.is_served("web3")
            first.host.plug_in()
            await fleet.is_served()
            # Both have the address until they hear each other.
            await is_only_at(second, first)

            visitor.moves()
            await second.nginx.process.stop()
            await is_only_at(first, second)
            await visitor.arrives()
            await visitor.sees(installed(fleet.host.issuer, LINEAGE))
            await second.nginx.process.start(second.nginx.is_ready)

            await fleet.renewed("--force")
            await visitor.sees(installed(fleet.host.issuer, LINEAGE))
            assert visitor.failures == []
        assert orders(fleet.host.ca) == 3 + is_reused
