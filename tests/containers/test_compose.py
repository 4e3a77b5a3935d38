"""examples/compose: the sidecar in Docker Compose, from its files as they are."""

import itertools
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from stand.docker import Docker
from stand.pebble import Pebble
from stand.processes import StandError
from tests.containers.compose import Project
from tests.containers.site import NAME, Site

pytestmark = [pytest.mark.containers, pytest.mark.integration, pytest.mark.timeout(600)]

SERVICES = ("responder", "nginx", "issuer")


@pytest.fixture
async def project(docker: Docker, ca: Pebble, folder: Path) -> AsyncIterator[Project]:
    async with Project(docker, folder, "compose") as made:
        made.use_ca(ca, "issuer")
        yield made


@pytest.fixture
def site(project: Project, ca: Pebble) -> Site:
    return Site(ca, ("127.0.0.1", 443), project.log)


@pytest.fixture
async def serial(project: Project, site: Site) -> str:
    """Return the number of the first certificate, which the site serves."""
    await project.up()
    return await site.until_served()


async def renew(project: Project, site: Site) -> None:
    await site.until(project.is_healthy)
    await project.exec("issuer", "wellkeeper", "renew", "--force", NAME)


async def test_empty_volumes_get_a_served_certificate(
    project: Project, site: Site, record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    await project.up()
    await site.until_served()
    record_property("measured", f"docker compose up: served after {time.monotonic() - began:.1f} s")


async def test_containers_have_no_rights(project: Project, serial: str) -> None:
    del serial
    for service in SERVICES:
        state = await project.state(service)
        assert state["HostConfig"]["ReadonlyRootfs"]
        assert not [bind for bind in state["HostConfig"]["Binds"] or [] if "docker.sock" in bind]
        status = await project.exec(service, "cat", "/proc/self/status")
        found = {line.split(":")[0]: line.split()[1:] for line in status.splitlines()}
        assert "0" not in found["Uid"]
        assert {found[name][0] for name in ("CapEff", "CapPrm", "CapBnd")} == {"0000000000000000"}


async def test_forced_renewal_is_served(project: Project, site: Site, serial: str) -> None:
    await renew(project, site)
    assert await site.served() not in {None, serial}


async def test_broken_configuration_is_named_and_its_repair_delivers(project: Project, site: Site, serial: str) -> None:
    broken = project.folder / "conf.d" / "broken.conf"
    broken.write_text("bogus_directive;\n")
    with pytest.raises(StandError, match="bogus_directive"):
        await renew(project, site)
    assert await site.served() == serial
    broken.unlink()
    await project.exec("issuer", "wellkeeper", "renew", "--retry", NAME)
    await site.until_served(other_than=serial)


async def test_crashed_nginx_is_renewed_again(project: Project, site: Site, serial: str) -> None:
    await project.crash("nginx")

    async def is_back() -> bool:
        return (await project.state("nginx"))["RestartCount"] == 1 and await site.served() == serial

    await site.until(is_back)
    await renew(project, site)
    await site.until_served(other_than=serial)


async def test_restarts_in_every_order_change_nothing(project: Project, site: Site, serial: str) -> None:
    for order in itertools.permutations(SERVICES):
        await project.restart(*order)
    assert await site.until_served() == serial
    await renew(project, site)
    await site.until_served(other_than=serial)


async def test_other_images_keep_the_certificate(project: Project, docker: Docker, site: Site, serial: str) -> None:
    await project.use_other_images(docker)
    await project.up()
    assert [(await project.state(service))["Config"]["Image"].endswith(":next") for service in SERVICES] == [True] * 3
    assert await site.until_served() == serial
    await renew(project, site)
    await site.until_served(other_than=serial)
