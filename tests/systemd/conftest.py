"""Fixtures of booted machines: each test has its own, with its own CA, in the private network of the test process."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest

from stand.challtestsrv import Challtestsrv
from stand.machine import Machine
from stand.namespaces import enter_namespaces
from stand.pebble import Pebble, PebbleSettings
from stand.processes import PROJECT, find_program, temporary_folder
from tests.systemd.server import Server

# Debian's numbers, as the names of packages have them.
RELEASES: Final = {"bookworm": 12, "trixie": 13}
CACHE: Final = PROJECT / ".cache"


@pytest.fixture(scope="session", autouse=True)
def namespaces() -> None:
    """Move the test process to a private network, in which machines and CA meet."""
    enter_namespaces()


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in RELEASES])
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def package(release: str) -> Path:
    """Return the package of the release, as built by `scripts/test --booted`."""
    found = list((CACHE / "packages").glob(f"wellkeeper_*~deb{RELEASES[release]}_*.deb"))
    assert len(found) == 1, f"{found}; run scripts/test --booted, which builds the packages"
    return found[0]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a directory in memory: the upper layer of an overlay cannot be in another overlay."""
    with temporary_folder() as path:
        subprocess.run([find_program("mount"), "-t", "tmpfs", "-o", "mode=755", "machine", path], check=True)
        try:
            yield path
        finally:
            subprocess.run([find_program("umount"), "--recursive", path], check=True)


@pytest.fixture
async def machine(release: str, folder: Path) -> AsyncIterator[Machine]:
    """Yield a booted machine with nginx and Debian's default site."""
    (folder / "machine").mkdir()
    async with Machine(CACHE / f"machine-{release}", folder / "machine") as running:
        yield running


@pytest.fixture
async def ca(folder: Path) -> AsyncIterator[Pebble]:
    """Yield a CA that finds every name at the machine."""
    async with Challtestsrv(folder) as dns, Pebble(folder, PebbleSettings(dns.address, 80)) as running:
        yield running


@pytest.fixture
async def server(machine: Machine, ca: Pebble, package: Path) -> Server:
    """Return a machine with our package, set up for one name without a certificate yet."""
    made = Server(machine, ca)
    await made.install(package)
    await made.set_up()
    return made
