"""examples/fleet-compose: an issuer with a relay, and two hosts with nginx, from their files as they are.

With each engine, the tests share their containers.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from stand.challtestsrv import Challtestsrv
from stand.engine import Engine
from stand.pebble import Pebble
from tests.containers.compose import Project
from tests.containers.conftest import NODES
from tests.containers.deployment import renew
from tests.containers.site import NAME, Site

pytestmark = [
    *(pytest.mark.containers, pytest.mark.integration, pytest.mark.timeout(600)),
    pytest.mark.asyncio(loop_scope="module"),
]

TRUST = "/var/lib/wellkeeper/trust/trust.toml"


@dataclass
class Fleet:
    """The project of the issuer's host, and those of nodes with what their clients see."""

    issuer: Project
    nodes: dict[str, tuple[Project, Site]]

    async def renew(self) -> None:
        for node, _ in self.nodes.values():
            await node.restart_until_it_finds("node", "nginx")
        _, site = self.nodes["web1"]
        await renew(self.issuer, site)

    async def until_served(self, *, other_than: str | None = None) -> str:
        """Return the serial number that all nodes serve."""
        serials: set[str | None] = set()

        async def is_common() -> bool:
            nonlocal serials
            serials = {await site.served() for _, site in self.nodes.values()}
            return len(serials) == 1 and not serials & {None, other_than}

        _, site = self.nodes["web1"]
        await site.until(is_common)
        return str(serials.pop())


@pytest.fixture(scope="module", params=["docker", "podman"])
def engine(request: pytest.FixtureRequest) -> Engine:
    running: Engine = request.getfixturevalue(request.param)
    return running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(engine: Engine, ca: Pebble, dns: Challtestsrv, folder: Path) -> AsyncIterator[Fleet]:
    """Yield two nodes that serve the first certificate, after the steps of docs/containers.md."""
    for name in (NAME, "example.org"):
        await dns.set_addresses(name, *NODES.values())
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(Project(engine, folder, "fleet-compose/issuer"))
        issuer.use_ca_in_file(ca, "settings/issuer.toml", "issuer", "prepare")
        await issuer.up()
        made = Fleet(issuer, {})
        for name, address in NODES.items():
            node = await stack.enter_async_context(Project(engine, folder, "fleet-compose/node", name))
            node.images["ADDRESS"] = address
            node.change("settings/node.toml", '"web1"', f'"{name}"')
            out = await node.run("run", "--rm", "-T", "--no-deps", "node", "init")
            line = out.split()[-1]  # podman prints the id of a new pod before it
            await issuer.exec("issuer", "wellkeeper", "node", "add", name, line)
            (node.folder / "trust/trust.toml").write_text(await issuer.exec("issuer", "cat", TRUST))
            await node.up()
            made.nodes[name] = (node, Site(ca, (address, 443), node.log))
        yield made


async def test_all_nodes_serve_a_forced_renewal(fleet: Fleet) -> None:
    first = await fleet.until_served()
    await fleet.renew()
    await fleet.until_served(other_than=first)


async def test_restarts_in_an_order_and_its_reverse_change_nothing(fleet: Fleet) -> None:
    """Restart each container once before and once after each other one, and renew after either."""
    containers = [(fleet.issuer, service) for service in ("relay", "issuer")]
    containers += [(node, service) for node, _ in fleet.nodes.values() for service in ("responder", "nginx", "node")]
    for order in (containers, containers[::-1]):
        served = await fleet.until_served()
        for project, service in order:
            await project.restart(service)
        assert await fleet.until_served() == served
        await fleet.renew()
        await fleet.until_served(other_than=served)


async def test_broken_node_holds_up_no_other_and_catches_up(fleet: Fleet) -> None:
    first = await fleet.until_served()
    node, site = fleet.nodes["web1"]
    _, other = fleet.nodes["web2"]
    broken = await node.configuration() / "broken.conf"
    broken.write_text("bogus_directive;\n")

    async def is_reported() -> bool:
        return "bogus_directive" in await fleet.issuer.exec("issuer", "wellkeeper", "status", "--nodes")

    try:
        await fleet.renew()
        second = await other.until_served(other_than=first)
        await other.until(is_reported)
        assert await site.served() == first
    finally:
        broken.unlink()
    assert await site.until_served(other_than=first) == second


async def test_crashed_nginx_serves_the_next_renewal(fleet: Fleet) -> None:
    served = await fleet.until_served()
    for node, _ in fleet.nodes.values():
        await node.crash("nginx")
    assert await fleet.until_served() == served
    await fleet.renew()
    await fleet.until_served(other_than=served)


async def test_other_images_keep_the_certificate(fleet: Fleet) -> None:
    served = await fleet.until_served()
    for project in (fleet.issuer, *(node for node, _ in fleet.nodes.values())):
        await project.upgrade()
    assert await fleet.until_served() == served
    await fleet.renew()
    await fleet.until_served(other_than=served)
