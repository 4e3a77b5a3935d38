"""examples/pod: the sidecar in a pod, from its file as it is."""

import itertools
from pathlib import Path

import pytest

from stand.pebble import Pebble
from stand.podman import Podman
from stand.processes import StandError
from tests.containers.pod import Pod
from tests.containers.site import NAME, Site

pytestmark = [pytest.mark.containers, pytest.mark.integration, pytest.mark.timeout(600)]

CONTAINERS = ("responder", "nginx", "issuer")


@pytest.fixture
def pod(podman: Podman, folder: Path, ca: Pebble) -> Pod:
    return Pod(podman, folder, ca)


@pytest.fixture
def site(pod: Pod, ca: Pebble) -> Site:
    return Site(ca, ("127.0.0.1", 443), pod.log)


@pytest.fixture
async def serial(pod: Pod, site: Site) -> str:
    """Return the number of the first certificate, which the site serves."""
    await pod.up()
    return await site.until_served()


async def renew(pod: Pod, site: Site) -> None:
    await site.until(pod.is_healthy)
    await pod.exec("issuer", "wellkeeper", "renew", "--force", NAME)


async def test_forced_renewal_is_served(pod: Pod, site: Site, serial: str) -> None:
    await renew(pod, site)
    assert await site.served() not in {None, serial}


async def test_containers_have_no_rights(pod: Pod, serial: str) -> None:
    del serial
    for container in CONTAINERS:
        state = await pod.state(container)
        assert state["HostConfig"]["ReadonlyRootfs"]
        assert not [mount for mount in state["Mounts"] if "podman.sock" in mount["Source"]]
        status = await pod.exec(container, "cat", "/proc/self/status")
        found = {line.split(":")[0]: line.split()[1:] for line in status.splitlines()}
        assert "0" not in found["Uid"]
        assert {found[name][0] for name in ("CapEff", "CapPrm", "CapBnd")} == {"0000000000000000"}


async def test_broken_configuration_is_named_and_its_repair_delivers(pod: Pod, site: Site, serial: str) -> None:
    broken = await pod.config_map("site") / "broken.conf"
    broken.write_text("bogus_directive;\n")
    with pytest.raises(StandError, match="bogus_directive"):
        await renew(pod, site)
    assert await site.served() == serial
    broken.unlink()
    await pod.exec("issuer", "wellkeeper", "renew", "--retry", NAME)
    await site.until_served(other_than=serial)


async def test_crashed_nginx_is_renewed_again(pod: Pod, site: Site, serial: str) -> None:
    before = await pod.state("nginx")
    await pod.crash("nginx")

    async def is_back() -> bool:
        state = await pod.state("nginx")
        return state["State"]["Pid"] != before["State"]["Pid"] and await site.served() == serial

    await site.until(is_back)
    await renew(pod, site)
    await site.until_served(other_than=serial)


async def test_restarts_in_every_order_change_nothing(pod: Pod, site: Site, serial: str) -> None:
    for order in itertools.permutations(CONTAINERS):
        await pod.restart(*order)
    assert await site.until_served() == serial
    await renew(pod, site)
    await site.until_served(other_than=serial)


async def test_other_images_keep_the_certificate(pod: Pod, podman: Podman, site: Site, serial: str) -> None:
    for image in pod.images:
        await podman.run("tag", image, image.replace(":latest", ":next"))
    await pod.down()
    pod.file.write_text(pod.file.read_text().replace(":latest\n", ":next\n"))
    await pod.up()
    assert [(await pod.state(name))["ImageName"].endswith(":next") for name in CONTAINERS] == [True] * 3
    assert await site.until_served() == serial
    await renew(pod, site)
    await site.until_served(other_than=serial)
