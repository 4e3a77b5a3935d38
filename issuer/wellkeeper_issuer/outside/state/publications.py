"""Record what responders may hold until it is withdrawn: rows of publications, which outlive a killed process.

The column `lineage` has the names of all lineages that share the token, with spaces between them.
"""

from collections.abc import Sequence
from typing import Final

from wellkeeper_issuer.outside.state.database import Database, Row
from wellkeeper_issuer.outside.state.rows import put_row
from wellkeeper_node.model import Published

# An order that is continued publishes again. The names are compared with a space on either side.
_SELECT_UNNEEDED: Final = """
SELECT jti, token, lineage, expires_at FROM publications
WHERE instr(' ' || publications.lineage || ' ', ?) > 0 AND NOT EXISTS (
    SELECT 1 FROM attempts WHERE order_url IS NOT NULL AND chain_pem IS NULL AND attempts.lineage != ?
    AND instr(' ' || publications.lineage || ' ', ' ' || attempts.lineage || ' ') > 0
)
"""


class SqlitePublications:
    """Implements `wellkeeper_node.ports.PublicationRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record_publications(self, published: Sequence[Published], now: int) -> None:
        expired = "DELETE FROM publications WHERE expires_at <= ?", (now,)
        rows = (
            put_row(
                "publications",
                jti=one.jti,
                token=one.token,
                lineage=" ".join(sorted(one.lineages)),
                expires_at=one.expires_at,
            )
            for one in published
        )
        await self._database.write(expired, *rows)

    async def forget_publications(self, published: Sequence[Published]) -> None:
        forget = "DELETE FROM publications WHERE jti = ?"
        await self._database.write(*((forget, (one.jti,)) for one in published))

    async def read_publications(self, lineage: str) -> Sequence[Published]:
        return self._database.find(_published, _SELECT_UNNEEDED, f" {lineage} ", lineage)

    async def read_unneeded(self) -> Sequence[Published]:
        return await self._database.read(_published, _SELECT_UNNEEDED, " ", "")


def _published(row: Row) -> Published:
    return Published(row["jti"], row["token"], frozenset(row["lineage"].split()), row["expires_at"])
