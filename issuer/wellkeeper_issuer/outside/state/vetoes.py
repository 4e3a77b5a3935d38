"""Record failed read-backs, and when the CA is contacted anyway: rows of vetoes."""

from datetime import datetime

from wellkeeper_issuer.outside.state.database import Database, Row
from wellkeeper_issuer.outside.state.rows import from_time, put_row, to_time


class SqliteVetoes:
    """Implements `ports.state.VetoRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_veto(self, lineage: str) -> datetime | None:
        rows = self._database.find(_veto, "SELECT asks_at FROM vetoes WHERE lineage = ?", lineage)
        return rows[0] if rows else None

    async def record_veto(self, lineage: str, asks_at: datetime) -> None:
        await self._database.write(put_row("vetoes", lineage=lineage, asks_at=from_time(asks_at)))

    async def forget_veto(self, lineage: str) -> None:
        await self._database.write(("DELETE FROM vetoes WHERE lineage = ?", (lineage,)))


def _veto(row: Row) -> datetime:
    return to_time(row["asks_at"])
