"""Fixtures of containers: each test process has its own engines in a private network, and each file its own CA there.

All tests of an engine share a process, because they share its storage.
"""

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from stand.challtestsrv import Challtestsrv
from stand.docker import Docker
from stand.namespaces import enter_namespaces
from stand.pebble import Pebble, PebbleSettings
from stand.podman import Podman
from stand.processes import find_program, temporary_folder

# Containers reach the CA here.
HOST: Final = "10.77.0.1"
# Nodes reach the relay at the first address, as in the example; the CA reaches nodes at the others.
RELAY: Final = "10.0.0.1"
NODES: Final = {"web1": "10.0.0.11", "web2": "10.0.0.12"}


class ByEngine(LoadScopeScheduling):  # type: ignore[misc]
    """Give all tests of podman to one process, and all others to another one.

    Not `--dist loadgroup`: pytest-xdist 3.8 sets the names of tests in a way that pytest 9.2 does not read.
    """

    def _split_scope(self, nodeid: str) -> str:
        is_podman = "podman" in nodeid.partition("[")[2] or "/test_pod" in f"/{nodeid}"
        return "podman" if is_podman else "docker"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByEngine:
    return ByEngine(config, log)


@pytest.fixture(scope="session", autouse=True)
def namespaces() -> None:
    """Move the test process to a private network, in which containers and CA meet."""
    enter_namespaces()
    for address in (HOST, RELAY, *NODES.values()):
        subprocess.run([find_program("ip"), "address", "add", f"{address}/32", "dev", "lo"], check=True)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with temporary_folder() as path:
        yield path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def docker() -> AsyncIterator[Docker]:
    with temporary_folder() as path:
        async with Docker(path) as running:
            yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def podman() -> AsyncIterator[Podman]:
    with temporary_folder() as path:
        async with Podman(path) as engine:
            yield engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dns(folder: Path) -> AsyncIterator[Challtestsrv]:
    """Yield a DNS server that resolves every name to 127.0.0.1 until a test changes that."""
    async with Challtestsrv(folder) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ca(folder: Path, dns: Challtestsrv) -> AsyncIterator[Pebble]:
    """Yield a CA that containers reach, and that finds every name at the published port of this host."""
    async with Pebble(folder, PebbleSettings(dns.address, 80, address=HOST)) as running:
        yield running
