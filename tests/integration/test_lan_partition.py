"""A node that is cut off from the network for a whole renewal: left out, named as behind, and caught up later."""

from pathlib import Path

import pytest

from stand.daemon import IssuerDaemon
from stand.lan import Lan
from tests.integration.lan_fleet import LINEAGE, NAME, running_lan
from tests.integration.observed import orders, outcomes

pytestmark = [pytest.mark.integration, pytest.mark.network]


async def test_node_that_is_cut_off_is_left_out_and_catches_up(lan: Lan, folder: Path) -> None:
    async with running_lan(lan, folder) as fleet, IssuerDaemon(fleet.host.issuer) as daemon:
        await daemon.until(stage="verify", event="finished")
        await fleet.is_reported()
        near, lost = fleet.nodes["web2"], fleet.nodes["web3"]
        await fleet.host.dns.set_addresses(NAME, lan.address, near.host.address)
        lost.host.unplug()
        finished = await fleet.renew("--force", "--without", "web3")
        assert (finished.exit_code, outcomes(finished)) == (0, {LINEAGE: "served"}), finished
        # Nothing waited for the node that was left out, which would take 12 s. A reused authorization needs no token.
        assert finished.json()["certificates"][0]["seconds"].get("publish", 0) < 12
        await fleet.is_served("web2")
        (behind,) = (await fleet.status())["web3"]["behind"]
        assert (behind["name"], behind["cause"]) == (LINEAGE, "version 1 is there, 2 is not yet")
        lost.host.plug_in()
        await fleet.is_served()
        await fleet.is_reported()
        assert orders(fleet.host.ca) == 2
