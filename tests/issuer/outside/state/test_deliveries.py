"""Deliveries of several nodes: a row for each lineage and node."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.issuer.outside.states import ATTEMPT, execute
from wellkeeper_issuer.outside.state.attempts import SqliteAttempts
from wellkeeper_issuer.outside.state.database import Database
from wellkeeper_issuer.outside.state.deliveries import SqliteDeliveries
from wellkeeper_node.model import Flip


@pytest.fixture
async def database(folder: Path) -> AsyncIterator[Database]:
    async with Database(folder / "state.db", may_write=True) as opened:
        yield opened


async def test_deliveries_of_nodes_are_independent(folder: Path, database: Database) -> None:
    here, there = SqliteDeliveries(database), SqliteDeliveries(database, "web-2")
    for deliveries, version in ((here, "v1"), (there, "v2")):
        await SqliteAttempts(database).record_attempt(ATTEMPT)
        await deliveries.record_flip(Flip("web", None, version))
    await there.record_found(Flip("mail", "v7", "v7"))
    await here.record_reloaded(["web", "mail"])
    await here.record_served("mail")
    assert await here.undelivered() == {}
    assert await here.unserved() == {"web"}
    assert await here.installed() == {"web"}
    assert await there.undelivered() == {"web": Flip("web", None, "v2"), "mail": Flip("mail", "v7", "v7")}
    assert await here.read_origin("mail") is None
    rows = execute(folder / "state.db", "SELECT lineage, node, state FROM deliveries ORDER BY lineage, node")
    assert rows == [("mail", "web-2", "installed"), ("web", "local", "reloaded"), ("web", "web-2", "installed")]
