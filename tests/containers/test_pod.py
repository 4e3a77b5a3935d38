"""examples/pod: what Kubernetes does with the pod beyond the events of test_examples.py, as far as podman can."""

import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from stand.pebble import Pebble
from stand.podman import Podman
from tests.containers.deployment import renew
from tests.containers.pod import Pod
from tests.containers.site import Site

pytestmark = [
    *(pytest.mark.containers, pytest.mark.integration, pytest.mark.timeout(600)),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pod(podman: Podman, folder: Path, ca: Pebble) -> AsyncIterator[Pod]:
    async with Pod(podman, folder, ca) as made:
        await made.up()
        await Site(ca, ("127.0.0.1", 443), made.log).until_served()
        yield made


@pytest.fixture
def site(pod: Pod, ca: Pebble) -> Site:
    return Site(ca, ("127.0.0.1", 443), pod.log)


async def test_probes_pass_until_nginx_hangs(pod: Pod, site: Site) -> None:
    for container in ("responder", "nginx", "issuer"):
        await site.until(partial(pod.is_alive, container))
    workers = await pod.children("nginx")
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        assert not await pod.is_alive("nginx")
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
    await site.until(partial(pod.is_alive, "nginx"))


async def test_nginx_that_quits_serves_again_after_a_start(pod: Pod, site: Site) -> None:
    """With `restartPolicy: OnFailure`, podman starts only what failed: test_examples.py lets nginx crash."""
    served = await site.until_served()
    os.kill((await pod.state("nginx"))["State"]["Pid"], signal.SIGQUIT)

    async def has_ended() -> bool:
        state = await pod.state("nginx")
        return bool(state["State"]["Status"] == "exited")

    await site.until(has_ended)
    await pod.restart("nginx")
    assert await site.until_served() == served
    await renew(pod, site)
    await site.until_served(other_than=served)
