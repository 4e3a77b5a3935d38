"""A standby that is promoted when the issuer is lost: nothing is ordered twice, and the former issuer gives way."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from stand.daemon import IssuerDaemon
from stand.issuer import Finished, Issuer, NodeUnderTest
from stand.relay import RelayProcess
from tests.integration.balancer import balancing
from tests.integration.observed import installed, issued, outcomes
from tests.integration.test_backup import Safe
from tests.integration.whole_fleets import Fleet, FleetNode, running_fleet
from tests.issuer.ages import tool
from tests.issuer.commands.backups import replaced

pytestmark = pytest.mark.integration

NAMES: Final = {"web": "www.example.org", "api": "api.example.org"}
CERTIFICATES: Final = {lineage: [name] for lineage, name in NAMES.items()}


class Standby(Issuer):
    """The issuer on the host of a node, with a relay of its own."""

    def __init__(self, fleet: Fleet, node: FleetNode, relay: RelayProcess, *more: str) -> None:
        """`more` are lines after those of `[fleet]`."""
        super().__init__(node.folder)
        self.fleet, self.node = fleet, node
        http, https = node.nginx.settings.http[0], node.nginx.settings.https[0]
        self._settings = replace(
            fleet.host.issuer_settings,
            nodes=(NodeUnderTest("local", str(node.responder.control_address), http, https),),
            nginx_command=node.nginx.argv(),
            nginx_pid_file=node.nginx.pid_path,
            tables=("[fleet]", f'listen = ["{relay.address}"]', f'relay = "unix:{relay.issuer_socket}"', *more),
        )

    def move(self, safe: Safe) -> None:
        """Change the paths in the backup to those of this host, as all hosts of this test share a disk."""
        self.configure(self._settings)
        settings = self.config_path.read_bytes()
        shutil.rmtree(self.config_path.parent)
        former, here = str(self.fleet.host.issuer.state_dir.parent), str(self.node.folder)
        plain = tool("age", "-d", "-i", safe.identity, given=safe.file.read_bytes())
        plain = replaced(plain, "settings/issuer.toml", lambda _: settings)
        plain = replaced(plain, "manifest.json", lambda text: text.replace(former.encode(), here.encode()))
        safe.file.write_bytes(tool("age", "-r", safe.key, given=plain))

    async def ask(self, *arguments: str) -> Finished:
        """Run a command that looks at the node."""
        return await self.run(*arguments, environment=self.environment)

    @property
    def environment(self) -> dict[str, str]:
        return {"WELLKEEPER_NODE_CONFIG": str(self.node.agent.config_path)}


async def follow_both(nodes: list[FleetNode], former: RelayProcess, other: RelayProcess) -> None:
    for node in nodes:
        path = node.agent.config_path
        text = path.read_text().replace(f'"{former.address}"', f'"{former.address}", "{other.address}"')
        path.write_text(text)
        await node.agent.process.stop()
        await node.agent.process.start(node.agent.is_ready)


async def shown(issuer: Issuer, words: str) -> str:
    """Wait until `status --nodes` has these words, and return all of it; the time-out of the test is the limit."""
    while words not in (found := (await issuer.run_well("status", "--nodes")).out):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.5)
    return found


async def lose_host(fleet: Fleet, node: FleetNode) -> None:
    """End what runs on the issuer's host, and let the agent forget what it heard, instead of five minutes."""
    for running in (fleet.relay, fleet.host.nginx, fleet.host.responder):
        await running.process.stop()
    await node.agent.process.stop()
    (node.agent.state_dir / "status.json").unlink()
    await node.agent.process.start(node.agent.is_ready)


@pytest.fixture
async def standby(folder: Path) -> AsyncIterator[Standby]:
    """Yield the standby of a fleet that has both certificates, before it has a backup."""
    async with (
        running_fleet(folder, CERTIFICATES, ["web2", "web3"]) as fleet,
        RelayProcess(folder / "relay2", fleet.fleet_keys) as relay,
    ):
        await follow_both(list(fleet.nodes.values()), fleet.relay, relay)
        yield Standby(fleet, fleet.nodes["web2"], relay)


@pytest.mark.timeout(600)
async def test_promoted_standby_continues_and_the_former_issuer_gives_way(folder: Path, standby: Standby) -> None:
    safe, fleet, web3 = Safe(folder / "safe"), standby.fleet, standby.fleet.nodes["web3"]
    async with IssuerDaemon(fleet.host.issuer) as daemon:
        for lineage in NAMES:
            await daemon.until(certificate=lineage, stage="verify", event="finished")
        await safe.back_up(fleet.host.issuer)
        standby.move(safe)
        assert (await standby.ask(*safe.arguments(), "--standby")).exit_code == 0
        await renew_after_the_backup(standby)
        await daemon.end(signal.SIGKILL)
    await lose_host(fleet, standby.node)
    promoted = await standby.ask("promote")
    assert promoted.exit_code == 0, promoted
    await standby.node.agent.process.stop()
    forwarding = balancing(fleet.host.http, standby.node.nginx.settings.http[0], has_line=False)
    async with forwarding, IssuerDaemon(standby):
        await work_as_the_issuer(standby)
        await fleet.relay.process.start(fleet.relay.is_ready)
        async with IssuerDaemon(fleet.host.issuer):
            await give_way(standby)
            await web3.until_it_serves_that_of(standby, "web", NAMES["web"])


async def renew_after_the_backup(standby: Standby) -> None:
    """Renew one of two certificates; the standby cannot be promoted meanwhile."""
    issuer = standby.fleet.host.issuer
    await issuer.run_well("renew", "web", "--force")
    for lineage, name in NAMES.items():
        for node in standby.fleet.nodes.values():
            await node.until_served(name, installed(issuer, lineage))
    refused = await standby.ask("promote")
    assert refused.exit_code == 1
    assert "was heard" in refused.err, refused
    assert (await standby.run("renew", "web")).exit_code == 1


async def work_as_the_issuer(standby: Standby) -> None:
    """Order nothing that this host has; renew what a person asks for, on other nodes, too."""
    ca, web3 = standby.fleet.host.ca, standby.fleet.nodes["web3"]
    count, leaves = issued(ca), {one: await web3.served(name) for one, name in NAMES.items()}
    assert outcomes(await standby.run_well("renew", "--json")) == {"web": "unchanged", "api": "unchanged"}
    assert issued(ca) == count
    await shown(standby, "2 of 2")
    assert {one: await web3.served(name) for one, name in NAMES.items()} == leaves
    # Before that, it waits for a report of web3, which may take long on a busy machine.
    while outcomes(finished := await standby.run("renew", "web", "--force", "--json")) == {"web": "waiting"}:  # noqa: ASYNC110
        await asyncio.sleep(1)
    assert outcomes(finished) == {"web": "served"}, finished
    await web3.until_it_serves_that_of(standby, "web", NAMES["web"])


async def give_way(standby: Standby) -> None:
    """Both issuers say what is wrong, and the former one orders nothing."""
    former, ca = standby.fleet.host.issuer, standby.fleet.host.ca
    count = issued(ca)
    await shown(former, "several issuers feed this fleet")
    finished = await former.run("renew", "web", "--force", "--json")
    assert "several issuers feed this fleet" in finished.out, finished
    assert (await former.run("status", "--check")).exit_code == 1
    await shown(standby, "several issuers feed this fleet")
    assert issued(ca) == count
