"""Record failed read-backs, and when the CA is contacted anyway: rows of vetoes."""

from collections.abc import Mapping
from datetime import datetime

from wellkeeper_issuer.outside.state.database import Database, Row, Statement
from wellkeeper_issuer.outside.state.rows import from_time, put_row, to_time


class SqliteVetoes:
    """Implements `ports.state.VetoRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_vetoes(self, lineage: str) -> Mapping[str, datetime]:
        return dict(self._database.find(_veto, "SELECT node, asks_at FROM vetoes WHERE lineage = ?", lineage))

    async def record_vetoes(self, lineage: str, asks_at: Mapping[str, datetime]) -> None:
        rows = (put_row("vetoes", lineage=lineage, node=node, asks_at=from_time(at)) for node, at in asks_at.items())
        await self._database.write(_forget(lineage), *rows)

    async def forget_vetoes(self, lineage: str) -> None:
        await self._database.write(_forget(lineage))


def _forget(lineage: str) -> Statement:
    return "DELETE FROM vetoes WHERE lineage = ?", (lineage,)


def _veto(row: Row) -> tuple[str, datetime]:
    return row["node"], to_time(row["asks_at"])
