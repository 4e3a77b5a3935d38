"""docs/engine.md in a fleet: each block as it is written, renewals by either way, and a failover that loses a write."""

import asyncio
import json
import shlex
import signal
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import reduce
from pathlib import Path
from typing import Any, Final

import pytest

from stand.daemon import IssuerDaemon
from stand.issuer import Finished
from tests.integration.engine_servers import HOST, PAGE, Server, Servers
from tests.integration.observed import installed, outcomes
from tests.integration.whole_fleets import Fleet, FleetNode, running_fleet
from tests.json_docs import assert_documented
from tests.systemd.pages import Page
from wellkeeper_node.errors import UnavailableError

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

NAME: Final = "www.example.org"
NODE: Final = "web2"
SENTINELS: Final = "10.0.0.9,10.0.0.10,10.0.0.11"


def use_drop_in(fleet: Fleet) -> None:
    """Move [fleet] to the file that `fleet listen` writes."""
    issuer, settings = fleet.host.issuer, fleet.host.issuer_settings
    folder = issuer.config_path.parent / "issuer.d"
    folder.mkdir(exist_ok=True)
    (folder / "fleet.toml").write_text(
        f'[fleet]\nlisten = ["{fleet.relay.address}"]\nrelay = "unix:{fleet.relay.issuer_socket}"\n'
    )
    issuer.configure(settings)


class Runbook:
    """The page, whose commands are run in the fleet, with the paths and addresses of the test."""

    def __init__(self, fleet: Fleet, here: Mapping[str, str]) -> None:
        self.page = Page(PAGE)
        self.here = dict(here)
        self._issuer = fleet.host.issuer

    def _as_here(self, line: str) -> str:
        return reduce(lambda text, one: text.replace(*one), self.here.items(), line)

    async def run(self, marker: str, *more: str) -> Finished:
        """Run the next block, which contains a text; return what its last command printed."""
        self._block = self.page.next(marker)
        return await self.repeat(*more)

    async def repeat(self, *more: str) -> Finished:
        """Run the last block again."""
        for line in self._block.splitlines():
            sudo, program, *arguments = shlex.split(self._as_here(line))
            assert sudo == "sudo"
            if program == "install":
                installing = await asyncio.create_subprocess_exec(program, *arguments)
                assert await installing.wait() == 0
            else:
                assert program == "wellkeeper"
                finished = await self._issuer.run_well(*arguments, *more)
        return finished


async def renew(fleet: Fleet) -> None:
    issuer = fleet.host.issuer
    finished = await issuer.run("renew", "--force", "--json")
    assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
    await fleet.nodes[NODE].until_served(NAME, installed(issuer, "web"))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition; the time-out of the test is the limit."""
    while not await condition():  # noqa: ASYNC110 - other processes change it
        await asyncio.sleep(0.1)


async def until_followed(fleet: Fleet, *kinds: str) -> None:
    async def is_so() -> bool:
        (shown,) = (await fleet.host.issuer.run_well("node", "list", "--json")).json()["nodes"]
        return bool(shown["follows"] == list(kinds))

    await until(is_so)


async def until_connected(node: FleetNode, scheme: str) -> None:
    """Wait until the node follows an engine at such an address, or with "" none."""

    async def is_so() -> bool:
        relays = json.loads((node.agent.state_dir / "status.json").read_text())["relays"]
        engines = {name: failure for name, failure in relays.items() if name.startswith("redis")}
        return any(name.startswith(scheme) and not why for name, why in engines.items()) if scheme else not engines

    await until(is_so)


async def until_replicated(server: Server) -> None:
    async def is_so() -> bool:
        return "master_link_status:up" in await server.info()

    await until(is_so)


@asynccontextmanager
async def always_served(node: FleetNode) -> AsyncIterator[None]:
    """Check with handshakes that the node always serves a certificate."""

    async def look() -> None:
        while True:
            assert await node.served(NAME) is not None
            await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look())
        yield
        looking.cancel()


async def test_commands_of_the_page_on_engines_work(folder: Path) -> None:
    async with running_fleet(folder, {"web": [NAME]}, [NODE]) as fleet, IssuerDaemon(fleet.host.issuer):
        use_drop_in(fleet)
        state_dir = fleet.host.issuer.state_dir
        runbook = Runbook(fleet, {"/var/lib/wellkeeper/issuer": str(state_dir)})
        runbook.page.next("apt install")
        printed = (await runbook.run("engine acl")).out
        password = (state_dir / "engine/issuer.password").read_text().strip()
        async with Servers(folder / "servers", printed, password) as servers, always_served(fleet.nodes[NODE]):
            runbook.here["/etc/wellkeeper/engine-ca.pem"] = str(servers.certificate.ca_bundle)
            primary = await move_to_an_engine(fleet, runbook, servers)
            await fleet.relay.process.stop()
            await renew(fleet)  # by the engine alone
            await fleet.host.issuer.run_well("rehearse")
            replica = await move_to_sentinels(fleet, runbook, servers, primary)
            await fail_over(fleet, primary, replica)
            await fleet.relay.process.start(fleet.relay.is_ready)
            replica.process.process.signal(signal.SIGSTOP)
            await renew(fleet)  # by the relay alone
            replica.process.process.signal(signal.SIGCONT)
            await move_back(fleet, runbook, replica)
            runbook.page.end()


async def move_to_an_engine(fleet: Fleet, runbook: Runbook, servers: Servers) -> Server:
    primary = await servers.start("one")
    runbook.here["valkey.internal:6379"] = f"{HOST}:{primary.port}"
    used = (await runbook.run("engine use 'rediss://", "--json")).json()
    assert_documented("engine use", used)
    assert used["is_filled"]
    await until_followed(fleet, "relay", "engine")
    shown = (await runbook.run("engine check")).out
    assert " relay, engine " in shown
    checked = (await fleet.host.issuer.run_well("engine", "check", "--json")).json()
    assert_documented("engine check", checked)
    assert [one["verdict"] for one in checked["findings"] if one["check"] == "nodes"] == ["ok"]
    return primary


async def move_to_sentinels(fleet: Fleet, runbook: Runbook, servers: Servers, primary: Server) -> Server:
    """Give the engine a replica and Sentinels; nodes learn it from the engine, as the relay is away."""
    replica = await servers.start("two", replica_of=primary.port)
    await until_replicated(replica)
    await servers.watch(primary.port)
    await servers.until_ready()
    runbook.here[SENTINELS] = ",".join(f"{HOST}:{one.port}" for one in servers.sentinels)
    runbook.here["sentinels.password /"] = f"{servers.folder}/given /"
    (servers.folder / "given").write_text("q" * 20)
    assert "copied the records" in (await runbook.run("--sentinel-password-file")).out
    await until_connected(fleet.nodes[NODE], "rediss+sentinel:")
    return replica


async def fail_over(fleet: Fleet, primary: Server, replica: Server) -> None:
    """Let the primary die after writes that its replica does not have."""
    manifest = fleet.host.issuer.state_dir / "manifest.jws"
    await replica.detach()
    await renew(fleet)
    assert await replica.value("manifest/fleet") != manifest.read_bytes()
    await primary.process.kill()

    async def is_written_again() -> bool:
        try:
            return await replica.value("manifest/fleet") == manifest.read_bytes()
        except UnavailableError:  # it drops its connections when it becomes the primary
            return False

    await until(is_written_again)
    await renew(fleet)  # by the new primary alone


async def move_back(fleet: Fleet, runbook: Runbook, server: Server) -> None:
    """Use no engine any more while the node is away: it comes back by the relay."""
    node, path = fleet.nodes[NODE], fleet.host.issuer.config_path.parent / "issuer.d/fleet.toml"
    # The daemon gives up a lease at once that no failover has lost.
    assert "copied the records" in (await runbook.repeat()).out
    await node.agent.process.stop()
    used: Any = (await runbook.run("engine use --none", "--json")).json()
    assert_documented("engine use", used)
    assert (used["deleted"] > 3, used["not_deleted"]) == (True, None)
    assert await server.value("manifest/fleet") is None
    assert set(tomllib.loads(path.read_text())["fleet"]) == {"listen", "relay"}
    await node.agent.process.start(node.agent.is_ready)
    await until_connected(node, "")
    await until_followed(fleet, "relay")
