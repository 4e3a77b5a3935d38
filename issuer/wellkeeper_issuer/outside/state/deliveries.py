"""Installed versions on their way to nginx, from installed to served: rows of deliveries."""

from collections.abc import Collection, Sequence

from wellkeeper_issuer.model import Flip
from wellkeeper_issuer.outside.state.database import Database, Row
from wellkeeper_issuer.outside.state.rows import put_row
from wellkeeper_issuer.records import Origin


class SqliteDeliveries:
    """Implements `ports_state.DeliveryRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record_flip(self, flip: Flip) -> None:
        await self._database.write(
            (
                """
                INSERT OR REPLACE INTO deliveries
                    (lineage, directory_url, account_url, version_before, version_after, state)
                SELECT lineage, directory_url, account_url, ?, ?, 'installed' FROM attempts WHERE lineage = ?
                """,
                (flip.before, flip.after, flip.lineage),
            ),
            put_row("owed_hooks", lineage=flip.lineage, version=flip.after),
            ("DELETE FROM attempts WHERE lineage = ?", (flip.lineage,)),
            ("DELETE FROM vetoes WHERE lineage = ?", (flip.lineage,)),
        )

    async def record_found(self, flip: Flip) -> None:
        row = put_row(
            "deliveries",
            lineage=flip.lineage,
            directory_url="",
            account_url="",
            version_before=flip.before,
            version_after=flip.after,
            state="installed",
        )
        await self._database.write(row)

    async def read_origin(self, lineage: str) -> Origin | None:
        # Empty for what was found.
        rows = self._database.find(
            _origin,
            "SELECT directory_url, account_url FROM deliveries WHERE lineage = ? AND directory_url <> ''",
            lineage,
        )
        return rows[0] if rows else None

    async def installed(self, among: Collection[str] | None = None) -> frozenset[str]:
        return frozenset(await self._database.read_among(_lineage, "SELECT lineage FROM deliveries", among))

    async def undelivered(self, among: Collection[str] | None = None) -> dict[str, Flip]:
        statement = "SELECT lineage, version_before, version_after FROM deliveries"
        found = await self._database.read_among(_flip, statement, among, state="installed")
        return {flip.lineage: flip for flip in found}

    async def unserved(self, among: Collection[str] | None = None) -> frozenset[str]:
        statement = "SELECT lineage FROM deliveries"
        return frozenset(await self._database.read_among(_lineage, statement, among, state="reloaded"))

    async def record_reloaded(self, lineages: Sequence[str]) -> None:
        statement = "UPDATE deliveries SET state = 'reloaded' WHERE lineage = ?"
        await self._database.write(*((statement, (lineage,)) for lineage in lineages))

    async def record_served(self, lineage: str) -> None:
        await self._database.write(("UPDATE deliveries SET state = 'served' WHERE lineage = ?", (lineage,)))


def _flip(row: Row) -> Flip:
    return Flip(row["lineage"], row["version_before"], row["version_after"])


def _origin(row: Row) -> Origin:
    return Origin(row["directory_url"], row["account_url"])


def _lineage(row: Row) -> str:
    return str(row["lineage"])
