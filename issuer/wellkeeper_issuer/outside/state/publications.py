"""Record what responders may hold until it is withdrawn: rows of publications, which outlive a killed process."""

from collections.abc import Sequence
from typing import Final

from wellkeeper_issuer.outside.state.database import Database, Row
from wellkeeper_issuer.outside.state.rows import put_row
from wellkeeper_node.model import Published

_SELECT: Final = "SELECT jti, token, lineage, expires_at FROM publications"
# An order that is continued publishes again.
_UNDER_WAY: Final = "SELECT lineage FROM attempts WHERE order_url IS NOT NULL AND chain_pem IS NULL"


class SqlitePublications:
    """Implements `wellkeeper_node.ports.PublicationRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record_publications(self, published: Sequence[Published], now: int) -> None:
        expired = "DELETE FROM publications WHERE expires_at <= ?", (now,)
        rows = (
            put_row("publications", jti=one.jti, token=one.token, lineage=one.lineage, expires_at=one.expires_at)
            for one in published
        )
        await self._database.write(expired, *rows)

    async def forget_publications(self, published: Sequence[Published]) -> None:
        forget = "DELETE FROM publications WHERE jti = ?"
        await self._database.write(*((forget, (one.jti,)) for one in published))

    async def read_publications(self, lineage: str) -> Sequence[Published]:
        return self._database.find(_published, f"{_SELECT} WHERE lineage = ?", lineage)

    async def read_unneeded(self) -> Sequence[Published]:
        return await self._database.read(_published, f"{_SELECT} WHERE lineage NOT IN ({_UNDER_WAY})")


def _published(row: Row) -> Published:
    return Published(row["jti"], row["token"], row["lineage"], row["expires_at"])
