"""A standby takes over by itself through the engine, in the middle of a renewal; the former issuer comes back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from stand.daemon import IssuerDaemon
from stand.key_value import KeyValueServer
from stand.relay import RelayProcess
from tests.engines import CALL_SECONDS, EngineRecords
from tests.integration.balancer import balancing
from tests.integration.engine_servers import acl_file, followed
from tests.integration.observed import installed, issued, outcomes
from tests.integration.test_backup import Safe
from tests.integration.test_engine_issuers import until
from tests.integration.test_standby import Standby
from tests.integration.whole_fleets import Fleet, FleetNode, running_fleet
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.records.engine import parse_engine
from wellkeeper_node.records.engine_calls import EngineCalls
from wellkeeper_node.records.engine_connection import Access
from wellkeeper_node.records.relay import RelayRecords

pytestmark = pytest.mark.integration

NAME: Final = "www.example.org"


@dataclass(frozen=True)
class Site:
    """A fleet with an engine, and a standby on web2 without a relay."""

    fleet: Fleet
    engine: EngineRecords
    standby: Standby

    async def lose_host(self) -> None:
        """End what runs on the issuer's host, and let its lease and its heartbeats be of long ago at once."""
        fleet = self.fleet
        for running in (fleet.relay, fleet.host.nginx, fleet.host.responder):
            await running.process.stop()
        await self.engine.ask("DEL", self.engine.raw.key("heartbeat/issuer"))
        for node in fleet.nodes.values():
            await node.agent.process.stop()
            (node.agent.state_dir / "status.json").unlink()
            await node.agent.process.start(node.agent.is_ready)
        await self.engine.ask("DEL", self.engine.raw.key("lease"))


@pytest.fixture
async def site(folder: Path) -> AsyncIterator[Site]:
    async with running_fleet(folder, {"web": [NAME]}, ["web2", "web3"]) as fleet:
        issuer = fleet.host.issuer
        acl = await acl_file(issuer, folder)
        async with KeyValueServer("valkey", folder / "engine", "--aclfile", str(acl)) as server:
            address = f"redis://127.0.0.1:{server.port}"
            lines = ("[fleet.engine]", f"address = '{address}'", "take_over_minutes = 0.02")
            table = ("[fleet]", f'listen = ["{fleet.relay.address}"]', f'relay = "unix:{fleet.relay.issuer_socket}"')
            issuer.configure(replace(fleet.host.issuer_settings, tables=(*table, *lines)))
            password = (issuer.state_dir / "engine/issuer.password").read_text().strip()
            access = Access(parse_engine(address), "wellkeeper-issuer", password, CALL_SECONDS, CALL_SECONDS)
            engine = EngineRecords(EngineCalls(access), SystemClock())
            none = RelayProcess(folder / "none", fleet.fleet_keys)
            yield Site(fleet, engine, Standby(fleet, fleet.nodes["web2"], none, *lines))
            await engine.close()


async def until_it_follows_the_engine(node: FleetNode) -> None:
    while not any(name.startswith("redis:") for name in followed(node)):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.05)


@pytest.mark.any_python
@pytest.mark.timeout(600)
async def test_standby_takes_over_in_the_middle_of_a_renewal_and_the_former_writes_nothing(
    folder: Path, site: Site
) -> None:
    fleet, standby, safe = site.fleet, site.standby, Safe(folder / "safe")
    former, ca = fleet.host.issuer, fleet.host.ca
    async with IssuerDaemon(former) as daemon:
        await daemon.until(certificate="web", stage="verify", event="finished")
        for node in fleet.nodes.values():
            await node.until_served(NAME, installed(former, "web"))
            await until_it_follows_the_engine(node)
        await safe.back_up(former)
        standby.move(safe)
        restored = await standby.ask(*safe.arguments(), "--standby")
        assert restored.exit_code == 0, restored
        async with IssuerDaemon(standby, standby.environment, "run_standby") as successor:
            waiting = (
                f"waiting to take over: the issuer holds the engine's lease: {os.uname().nodename} pid {daemon.pid}"
            )
            assert waiting in (await standby.run_well("status")).out
            count = issued(ca)
            async with former.running("renew", "web", "--force"):
                await daemon.until(certificate="web", stage="publish", event="finished")
                await daemon.end(signal.SIGKILL)
            await site.lose_host()
            forwarding = balancing(fleet.host.http, standby.node.nginx.settings.http[0], has_line=False)
            async with forwarding:
                await until(lambda: '"logger": "run"' in successor.log)  # at least two looks, five seconds apart
                await renew(site)
                assert issued(ca) - count <= 2
                await come_back(site, successor)
            assert issued(ca) - count <= 2


async def renew(site: Site) -> None:
    """Renew what was under way, on all nodes."""
    standby = site.standby
    # Before that, it waits for a report of web3, which may take long on a busy machine.
    while outcomes(finished := await standby.run("renew", "web", "--force", "--json")) == {"web": "waiting"}:  # noqa: ASYNC110
        await asyncio.sleep(1)
    assert outcomes(finished) == {"web": "served"}, finished
    for node in site.fleet.nodes.values():
        await node.until_it_serves_that_of(standby, "web", NAME)


async def come_back(site: Site, successor: IssuerDaemon) -> None:
    """Start the former issuer and its relay again: it waits, and says so, also while its successor restarts."""
    fleet = site.fleet
    await fleet.relay.process.start(fleet.relay.is_ready)
    async with IssuerDaemon(fleet.host.issuer) as daemon:
        await daemon.until(event="log", logger="lease")
        refused = await fleet.host.issuer.run("renew", "web", "--force")
        assert (refused.exit_code, "another issuer feeds the engine" in refused.err) == (1, True), refused
        assert "another issuer holds the engine's lease" in (await fleet.host.issuer.run_well("status")).out
        assert (await successor.end(signal.SIGTERM)).exit_code == 0
        for _ in range(5):  # the former one asks every two seconds, and leaves it to the newer one
            assert await site.engine.holder() is None
            await asyncio.sleep(1)
        async with IssuerDaemon(site.standby, site.standby.environment):
            while "this host holds the engine's lease" not in (await site.standby.run_well("status")).out:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
            refused = await fleet.host.issuer.run("renew", "web", "--force")
            assert (refused.exit_code, "another issuer feeds the engine" in refused.err) == (1, True), refused
    relay = RelayRecords(f"unix:{fleet.relay.issuer_socket}", SystemClock())
    assert await relay.get("heartbeat/issuer") is None
    await relay.close()
    for node in fleet.nodes.values():
        await node.until_it_serves_that_of(site.standby, "web", NAME)
