"""Fixtures of booted machines: each test has its own, with its own CA, in the private network of the test process."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from stand.challtestsrv import Challtestsrv
from stand.machine import Machine, folder_in_memory
from stand.namespaces import enter_namespaces
from stand.pebble import Pebble, PebbleSettings
from stand.processes import PROJECT
from tests.systemd.packages import older
from tests.systemd.server import Server, install

# Debian's numbers, as the names of packages have them.
RELEASES: Final = {"bookworm": 12, "trixie": 13}
CACHE: Final = PROJECT / ".cache"


@pytest.fixture(scope="session", autouse=True)
def namespaces() -> None:
    """Move the test process to a private network, in which machines and CA meet."""
    enter_namespaces()


class ByRelease(LoadScopeScheduling):  # type: ignore[misc]
    """Give all tests of a release to one process, which installs the package there once.

    Not `--dist loadgroup`: pytest-xdist 3.8 sets the names of tests in a way that pytest 9.2 does not read.
    """

    def _split_scope(self, nodeid: str) -> str:
        return next((name for name in RELEASES if name in nodeid.partition("[")[2]), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByRelease:
    return ByRelease(config, log)


@pytest.fixture(params=list(RELEASES))
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
    with folder_in_memory() as path:
        yield path


@pytest.fixture
async def bare_machine(release: str, folder: Path) -> AsyncIterator[Machine]:
    """Yield a booted machine with nginx and Debian's default site, without our package."""
    async with Machine(folder, CACHE / f"machine-{release}") as running:
        yield running


@pytest.fixture(scope="session")
def installed_files() -> Iterator[Path]:
    """Yield a directory for what the installation of the package changes on each release."""
    with folder_in_memory() as path:
        yield path


@pytest.fixture
async def installed(release: str, package: Path, installed_files: Path) -> Path:
    """Return a tree that covers the release's, with the files that the package's installation wrote."""
    folder = installed_files / release
    machine = Machine(folder, CACHE / f"machine-{release}")
    if not await asyncio.to_thread(folder.exists):
        async with machine:
            await install(machine, package)
            await machine.shut_down()
    return machine.changed_files


@pytest.fixture
async def older_package(release: str, package: Path, installed_files: Path) -> Path:
    """Return a package with an earlier version of the programs, to be upgraded."""
    built = installed_files / f"{release}-older.deb"
    return built if await asyncio.to_thread(built.exists) else await older(package, built.with_suffix(""))


@pytest.fixture
async def machine(release: str, folder: Path, installed: Path) -> AsyncIterator[Machine]:
    """Yield a booted machine with our package."""
    async with Machine(folder, installed, CACHE / f"machine-{release}") as running:
        yield running


@pytest.fixture
async def ca(folder: Path) -> AsyncIterator[Pebble]:
    """Yield a CA that finds every name at the machine."""
    async with Challtestsrv(folder) as dns, Pebble(folder, PebbleSettings(dns.address, 80)) as running:
        yield running


@pytest.fixture
async def server(machine: Machine, ca: Pebble) -> Server:
    """Return a machine with our package, set up for one name without a certificate yet."""
    made = Server(machine, ca)
    await made.set_up()
    return made


@pytest.fixture
async def serving(server: Server) -> Server:
    """Return a machine whose daemon has obtained the first certificate."""
    await server.start_daemon()
    return server
