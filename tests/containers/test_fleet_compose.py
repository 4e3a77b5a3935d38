"""examples/fleet-compose: an issuer with a relay, and two hosts with nginx, from their files as they are."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from stand.challtestsrv import Challtestsrv
from stand.docker import Docker
from stand.pebble import Pebble
from tests.containers.compose import Project
from tests.containers.conftest import NODES
from tests.containers.site import NAME, Site

pytestmark = [pytest.mark.containers, pytest.mark.integration, pytest.mark.timeout(600)]

TRUST = "/var/lib/wellkeeper/trust/trust.toml"


@dataclass
class Fleet:
    """The project of the issuer's host, and those of nodes with what their clients see."""

    issuer: Project
    nodes: dict[str, tuple[Project, Site]]

    async def renew(self) -> None:
        _, site = self.nodes["web1"]
        await site.until(self.issuer.is_healthy)
        await self.issuer.exec("issuer", "wellkeeper", "renew", "--force", NAME)

    async def until_served(self, *, other_than: str | None = None) -> str:
        """Return the serial number that all nodes serve."""
        serials = {await site.until_served(other_than=other_than) for _, site in self.nodes.values()}
        assert len(serials) == 1
        return serials.pop()


@pytest.fixture
async def fleet(docker: Docker, ca: Pebble, dns: Challtestsrv, folder: Path) -> AsyncIterator[Fleet]:
    """Yield two nodes that serve the first certificate, after the steps of docs/containers.md."""
    for name in (NAME, "example.org"):
        await dns.set_addresses(name, *NODES.values())
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(Project(docker, folder, "fleet-compose/issuer"))
        issuer.use_ca_in_file(ca, "settings/issuer.toml", "issuer", "prepare")
        await issuer.up()
        made = Fleet(issuer, {})
        for name, address in NODES.items():
            node = await stack.enter_async_context(Project(docker, folder, "fleet-compose/node", name))
            node.images["ADDRESS"] = address
            node.change("settings/node.toml", '"web1"', f'"{name}"')
            line = await node.run("run", "--rm", "--no-TTY", "node", "init")
            await issuer.exec("issuer", "wellkeeper", "node", "add", name, line.strip())
            (node.folder / "trust/trust.toml").write_text(await issuer.exec("issuer", "cat", TRUST))
            await node.up()
            made.nodes[name] = (node, Site(ca, (address, 443), node.log))
        yield made


async def test_all_nodes_serve_a_forced_renewal_after_restarts(fleet: Fleet) -> None:
    first = await fleet.until_served()
    await fleet.renew()
    second = await fleet.until_served(other_than=first)
    await fleet.issuer.restart("issuer", "relay")
    for node, _ in fleet.nodes.values():
        await node.restart("nginx", "node", "responder")
    assert await fleet.until_served() == second
    await fleet.renew()
    await fleet.until_served(other_than=second)


async def test_broken_node_holds_up_no_other_and_catches_up(fleet: Fleet) -> None:
    first = await fleet.until_served()
    node, site = fleet.nodes["web1"]
    _, other = fleet.nodes["web2"]
    broken = node.folder / "conf.d/broken.conf"
    broken.write_text("bogus_directive;\n")
    await fleet.renew()
    second = await other.until_served(other_than=first)
    assert await site.served() == first
    broken.unlink()
    assert await site.until_served(other_than=first) == second
    await node.crash("nginx")
    assert await site.until_served() == second


async def test_other_images_keep_the_certificate(fleet: Fleet, docker: Docker) -> None:
    first = await fleet.until_served()
    for project in (fleet.issuer, *(node for node, _ in fleet.nodes.values())):
        await project.use_other_images(docker)
        await project.up()
    assert await fleet.until_served() == first
    await fleet.renew()
    await fleet.until_served(other_than=first)
