"""Fixtures of real processes, started for each test: they start within tenths of a second."""

import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from stand.challtestsrv import Challtestsrv
from stand.lan import Lan
from stand.pebble import Pebble, PebbleSettings
from stand.ports import free_port
from stand.processes import temporary_folder


@pytest.fixture(autouse=True, scope="session")
def many_open_files() -> None:
    """Raise the soft limit on open files: some tests hold more connections than the usual 1 024 allow."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a directory with a path short enough for unix sockets, accessible to nginx's workers, unlike `tmp_path`."""
    with temporary_folder() as path:
        yield path


@pytest.fixture
def lan() -> Iterator[Lan]:
    """Yield a private network, to which the test and what it starts belong; such tests have the mark `network`."""
    with Lan() as network:
        yield network


@pytest.fixture
def http_port() -> int:
    """Return the port from which the CA of `pebble` fetches tokens, at the address that `dns` returns."""
    return free_port()


@pytest.fixture
def https_port() -> int:
    return free_port()


@pytest.fixture
async def dns(folder: Path) -> AsyncIterator[Challtestsrv]:
    """Yield a DNS server that resolves every name to 127.0.0.1 until the test changes that."""
    async with Challtestsrv(folder) as running:
        yield running


@pytest.fixture
async def pebble(folder: Path, dns: Challtestsrv, http_port: int) -> AsyncIterator[Pebble]:
    """Yield a strict CA with the profiles `default` (90 days) and `short` (6 days)."""
    async with Pebble(folder, PebbleSettings(dns.address, http_port)) as running:
        yield running
