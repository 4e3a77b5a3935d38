"""Real processes for one test each: they start within tenths of a second, and nothing is shared between tests."""

import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from stand.challtestsrv import Challtestsrv
from stand.pebble import Pebble, PebbleSettings
from stand.ports import free_port
from stand.processes import temporary_folder


@pytest.fixture(autouse=True, scope="session")
def many_open_files() -> None:
    """Some tests hold more connections than the usual soft limit of 1 024 allows; the hard limit is far above."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for unix sockets and open to nginx's workers; `tmp_path` is neither."""
    with temporary_folder() as path:
        yield path


@pytest.fixture
def http_port() -> int:
    """Where the CA of `pebble` fetches tokens, at whatever address `dns` gives for the name."""
    return free_port()


@pytest.fixture
def https_port() -> int:
    return free_port()


@pytest.fixture
async def dns(folder: Path) -> AsyncIterator[Challtestsrv]:
    """Every name is at 127.0.0.1 until the test says otherwise."""
    async with Challtestsrv(folder) as running:
        yield running


@pytest.fixture
async def pebble(folder: Path, dns: Challtestsrv, http_port: int) -> AsyncIterator[Pebble]:
    """A strict CA with the profiles `default` (90 days) and `short` (6 days)."""
    async with Pebble(folder, PebbleSettings(dns.address, http_port)) as running:
        yield running
