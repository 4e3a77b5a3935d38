"""Fixtures of the contracts: responders that run in this process, and the state."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes_state import FakeState
from tests.node.conftest import clock, folder, nodes
from wellkeeper_issuer.outside.state.state import open_state
from wellkeeper_issuer.ports.state import StateRecords

__all__ = ["clock", "folder", "nodes"]


@pytest.fixture(params=["fake", "sqlite"])
async def state(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StateRecords]:
    if request.param == "fake":
        yield FakeState()
        return
    async with open_state(tmp_path / "state.db", may_write=True) as opened:
        yield opened
