"""examples/pod with the changes that docs/reaching-nginx.md describes: nginx's agent instead of shared processes."""

from collections.abc import AsyncIterator
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

SIGNALS = """\
    pid_file = "auto"
    test = "reload"
    error_log = "/run/wellkeeper-nginx/error.log"
"""
WITH_AGENT = {
    "  shareProcessNamespace: true # the issuer signals nginx\n": "",
    SIGNALS: '    agent = "/run/wellkeeper-nginx"\n',
    '      args: [nginx, -g, "daemon off; error_log /run/wellkeeper-nginx/error.log emerg;"]\n': (
        '      command: [/var/lib/wellkeeper/program/entrypoint]\n      args: [nginx, -g, "daemon off;"]\n'
    ),
    "        - { name: program, mountPath: /var/lib/wellkeeper/program }\n": (
        "        - { name: program, mountPath: /var/lib/wellkeeper/program }\n"
        "        - { name: nginx-log, mountPath: /run/wellkeeper-nginx }\n"
    ),
    "mountPath: /run/wellkeeper-nginx, readOnly: true }": "mountPath: /run/wellkeeper-nginx }",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pod(podman: Podman, folder: Path, ca: Pebble) -> AsyncIterator[Pod]:
    async with Pod(podman, folder, ca) as made:
        text = made.file.read_text()
        for before, after in WITH_AGENT.items():
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        made.file.write_text(text)
        await made.up()
        yield made


async def test_agent_needs_no_shared_processes_and_one_volume(pod: Pod, ca: Pebble) -> None:
    site = Site(ca, ("127.0.0.1", 443), pod.log)
    serial = await site.until_served()
    await renew(pod, site)
    await site.until_served(other_than=serial)
    modes = await pod.exec("issuer", "sh", "-c", "stat -c '%a %u' /run/wellkeeper-nginx/*")
    assert modes.split("\n")[:2] == ["700 101", "755 101"]
