"""Renewals under way and what became of the installed ones: rows of attempts, deliveries and vetoes."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from wellkeeper_issuer.model import Attempt, Flip
from wellkeeper_issuer.outside.state.database import Database, Row
from wellkeeper_issuer.outside.state.rows import from_identifiers, from_time, to_identifiers, to_time
from wellkeeper_issuer.records import Origin


class SqliteJournal:
    """Implements `ports_state.Journal`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_attempt(self, lineage: str) -> Attempt | None:
        rows = self._database.find(_attempt, "SELECT * FROM attempts WHERE lineage = ?", lineage)
        return rows[0] if rows else None

    async def under_way(self) -> Mapping[str, bool]:
        rows = await self._database.read(_whether, "SELECT lineage, chain_pem IS NOT NULL FROM attempts")
        return dict(rows)

    async def record_attempt(self, attempt: Attempt) -> None:
        values = (
            attempt.lineage,
            attempt.directory_url,
            from_identifiers(attempt.identifiers),
            attempt.certificate_key_pem,
            attempt.csr_der,
            attempt.order_url,
            attempt.chain_pem,
            attempt.account_url,
        )
        await self._database.write(("INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values))

    async def forget_attempt(self, lineage: str) -> None:
        await self._database.write(("DELETE FROM attempts WHERE lineage = ?", (lineage,)))

    async def record_order(self, lineage: str, order_url: str) -> None:
        await self._database.write(("UPDATE attempts SET order_url = ? WHERE lineage = ?", (order_url, lineage)))

    async def record_chain(self, lineage: str, chain_pem: bytes) -> None:
        await self._database.write(("UPDATE attempts SET chain_pem = ? WHERE lineage = ?", (chain_pem, lineage)))

    async def record_flip(self, flip: Flip) -> None:
        await self._database.write(
            (
                """
                INSERT OR REPLACE INTO deliveries
                SELECT lineage, directory_url, ?, ?, 'installed', account_url FROM attempts WHERE lineage = ?
                """,
                (flip.before, flip.after, flip.lineage),
            ),
            ("INSERT OR REPLACE INTO owed_hooks VALUES (?, ?)", (flip.lineage, flip.after)),
            ("DELETE FROM attempts WHERE lineage = ?", (flip.lineage,)),
            ("DELETE FROM vetoes WHERE lineage = ?", (flip.lineage,)),
        )

    async def read_veto(self, lineage: str) -> datetime | None:
        rows = self._database.find(_veto, "SELECT asks_at FROM vetoes WHERE lineage = ?", lineage)
        return rows[0] if rows else None

    async def record_veto(self, lineage: str, asks_at: datetime) -> None:
        await self._database.write(("INSERT OR REPLACE INTO vetoes VALUES (?, ?)", (lineage, from_time(asks_at))))

    async def forget_veto(self, lineage: str) -> None:
        await self._database.write(("DELETE FROM vetoes WHERE lineage = ?", (lineage,)))

    async def read_origin(self, lineage: str) -> Origin | None:
        # Empty for what was found.
        rows = self._database.find(
            _origin,
            "SELECT directory_url, account_url FROM deliveries WHERE lineage = ? AND directory_url <> ''",
            lineage,
        )
        return rows[0] if rows else None

    async def installed(self, among: Collection[str] | None = None) -> frozenset[str]:
        return frozenset(await self._database.read_among(_first, "SELECT lineage FROM deliveries", among))

    async def record_found(self, flip: Flip) -> None:
        values = (flip.lineage, flip.before, flip.after)
        await self._database.write(("INSERT OR REPLACE INTO deliveries VALUES (?, '', ?, ?, 'installed', '')", values))

    async def undelivered(self, among: Collection[str] | None = None) -> dict[str, Flip]:
        statement = "SELECT lineage, version_before, version_after FROM deliveries WHERE state = 'installed'"
        return {flip.lineage: flip for flip in await self._database.read_among(_flip, statement, among)}

    async def unserved(self, among: Collection[str] | None = None) -> frozenset[str]:
        statement = "SELECT lineage FROM deliveries WHERE state = 'reloaded'"
        return frozenset(await self._database.read_among(_first, statement, among))

    async def record_reloaded(self, lineages: Sequence[str]) -> None:
        statement = "UPDATE deliveries SET state = 'reloaded' WHERE lineage = ?"
        await self._database.write(*((statement, (lineage,)) for lineage in lineages))

    async def record_served(self, lineage: str) -> None:
        await self._database.write(("UPDATE deliveries SET state = 'served' WHERE lineage = ?", (lineage,)))


def _attempt(row: Row) -> Attempt:
    lineage, directory_url, identifiers, *others = row
    return Attempt(lineage, directory_url, to_identifiers(identifiers), *others)


def _flip(row: Row) -> Flip:
    return Flip(*row)


def _origin(row: Row) -> Origin:
    return Origin(*row)


def _veto(row: Row) -> datetime:
    return to_time(row[0])


def _whether(row: Row) -> tuple[str, bool]:
    return row[0], bool(row[1])


def _first(row: Row) -> str:
    return str(row[0])
