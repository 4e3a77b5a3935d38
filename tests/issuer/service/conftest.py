"""A daemon of test workers that answers on its real socket, and commands of the program."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.issuer.commands.conftest import program
from tests.issuer.commands.workers import WorkerFactory
from wellkeeper_issuer.outside.daemon.server import daemon_socket
from wellkeeper_issuer.outside.daemon.socket import socket_path

__all__ = ["daemon", "factory", "program"]


@pytest.fixture
def factory(folder: Path) -> WorkerFactory:
    made = WorkerFactory(folder)
    made.write("a.example", "b.example")
    return made


@pytest.fixture
async def daemon(factory: WorkerFactory, folder: Path) -> AsyncIterator[WorkerFactory]:
    """Run a daemon that answers."""
    (folder / "state").mkdir()
    async with factory.service() as service, daemon_socket(socket_path(folder / "state"), service.handlers):
        yield factory
