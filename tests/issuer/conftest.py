"""What tests of several stages need: a short folder, a clock that stands still, a state on disk, running responders."""

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
    """Short enough for unix sockets, which `tmp_path` is not; in memory where that exists, for fsync takes its time."""
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
    """Two nodes whose responders run, and the way to both."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(Nodes(folder, clock, ("n1", "n2")))


@pytest.fixture
def host(state: State, nodes: Nodes, clock: FakeClock) -> Host:
    return make_host(state, nodes, clock)
