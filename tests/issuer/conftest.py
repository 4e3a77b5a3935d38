"""Fixtures of several stages: a directory with a short path, a fake clock, a state on disk, running responders."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.issuer.hosts import Host, make_host
from tests.node.nodes import Nodes
from wellkeeper_issuer.outside.state.attempts import SqliteAttempts
from wellkeeper_issuer.outside.state.state import State, open_state


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a directory with a path short enough for unix sockets, in memory where possible because fsync is slow."""
    memory = Path("/dev/shm")
    is_usable = os.access(memory, os.W_OK | os.X_OK)
    with tempfile.TemporaryDirectory(prefix="wk-", dir=memory if is_usable else None) as path:
        yield Path(path)


@pytest.fixture
async def state(folder: Path) -> AsyncIterator[State]:
    async with open_state(folder / "state.db", may_write=True) as opened:
        yield opened


@pytest.fixture
def attempts(state: State) -> SqliteAttempts:
    return state.attempts


@pytest.fixture
async def nodes(folder: Path, clock: FakeClock) -> AsyncIterator[Nodes]:
    """Yield two nodes with running responders, and the client of both."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(Nodes(folder, clock, ("n1", "n2")))


@pytest.fixture
def host(state: State, nodes: Nodes, clock: FakeClock) -> Host:
    return make_host(state, nodes, clock)
