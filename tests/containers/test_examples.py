"""The examples with one nginx, from their files as they are: each goes through the same events.

The tests of an example share its containers, since a start from empty volumes takes longer than any of them.
"""

import itertools
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from stand.docker import Docker
from stand.pebble import Pebble
from stand.podman import Podman
from stand.processes import StandError
from tests.containers.compose import Project
from tests.containers.deployment import Deployment, renew
from tests.containers.pod import Pod
from tests.containers.quadlet import Quadlet
from tests.containers.site import NAME, Site

pytestmark = [
    *(pytest.mark.containers, pytest.mark.integration, pytest.mark.timeout(600)),
    pytest.mark.asyncio(loop_scope="module"),
]

Example = tuple[str, Docker | Podman | None]

SERVICES: Final = ("responder", "nginx", "issuer")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("compose", "docker"), id="compose-docker"),
        pytest.param(("compose", "podman"), id="compose-podman"),
        pytest.param(("pod", "podman"), id="pod-podman"),
        pytest.param(("quadlet", None), id="quadlet-systemd"),
    ],
)
def example(request: pytest.FixtureRequest) -> Example:
    """Return the name of an example, and the engine that runs it, unless a machine does."""
    name, engine = request.param
    return name, engine and request.getfixturevalue(engine)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(example: Example, ca: Pebble, folder: Path) -> AsyncIterator[Deployment]:
    match example:
        case "compose", Docker() | Podman() as engine:
            async with Project(engine, folder, "compose") as project:
                project.use_ca(ca, "issuer")
                yield project
        case "pod", Podman() as podman:
            async with Pod(podman, folder, ca) as pod:
                yield pod
        case _:
            async with Quadlet(ca) as quadlet:
                yield quadlet


@pytest.fixture(scope="module")
def site(deployment: Deployment, ca: Pebble) -> Site:
    return Site(ca, ("127.0.0.1", 443), deployment.log)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seconds(deployment: Deployment, site: Site) -> float:
    """Start the containers with empty volumes; return the seconds until the site serves a certificate."""
    began = time.monotonic()
    await deployment.up()
    await site.until_served()
    return time.monotonic() - began


@pytest_asyncio.fixture(loop_scope="module")
async def serial(seconds: float, site: Site) -> str:
    """Return the number of the certificate that the site serves."""
    del seconds
    return await site.until_served()


async def test_empty_volumes_get_a_served_certificate(
    seconds: float, record_property: Callable[[str, object], None]
) -> None:
    record_property("measured", f"served {seconds:.1f} s after the start with empty volumes")


async def test_containers_have_no_rights(deployment: Deployment, serial: str) -> None:
    del serial
    for service in SERVICES:
        state = await deployment.state(service)
        assert state["HostConfig"]["ReadonlyRootfs"]
        assert not [mount for mount in state["Mounts"] if mount.get("Source", "").endswith((".sock", "/run"))]
        status = await deployment.exec(service, "cat", "/proc/self/status")
        found = {line.split(":")[0]: line.split()[1:] for line in status.splitlines()}
        assert "0" not in found["Uid"]
        assert {found[name][0] for name in ("CapEff", "CapPrm", "CapBnd")} == {"0000000000000000"}


async def test_forced_renewal_is_served(deployment: Deployment, site: Site, serial: str) -> None:
    await renew(deployment, site)
    assert await site.served() not in {None, serial}


async def test_broken_configuration_is_named_and_its_repair_delivers(
    deployment: Deployment, site: Site, serial: str
) -> None:
    broken = await deployment.configuration() / "broken.conf"
    broken.write_text("bogus_directive;\n")
    try:
        with pytest.raises(StandError, match="bogus_directive"):
            await renew(deployment, site)
        assert await site.served() == serial
    finally:
        broken.unlink()
    await deployment.exec("issuer", "wellkeeper", "renew", "--retry", NAME)
    await site.until_served(other_than=serial)


async def test_crashed_nginx_is_renewed_again(deployment: Deployment, site: Site, serial: str) -> None:
    before = await deployment.state("nginx")
    await deployment.crash("nginx")

    async def is_back() -> bool:
        try:
            state = await deployment.state("nginx")
        except StandError:
            return False
        return state["State"]["Pid"] != before["State"]["Pid"] and await site.served() == serial

    await site.until(is_back)
    await renew(deployment, site)
    await site.until_served(other_than=serial)


async def test_restarts_in_every_order_change_nothing(deployment: Deployment, site: Site, serial: str) -> None:
    for order in itertools.permutations(SERVICES):
        await deployment.restart(*order)
    assert await site.until_served() == serial
    await renew(deployment, site)
    await site.until_served(other_than=serial)


async def test_other_images_keep_the_certificate(deployment: Deployment, site: Site, serial: str) -> None:
    await deployment.upgrade()
    images = [(await deployment.state(service))["Config"]["Image"] for service in SERVICES]
    assert [image.endswith(":next") for image in images] == [True] * len(SERVICES)
    assert await site.until_served() == serial
    await renew(deployment, site)
    await site.until_served(other_than=serial)
