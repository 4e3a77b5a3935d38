"""Renewals under way and what became of the installed ones: rows of attempts, deliveries and vetoes."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from wellkeeper_issuer.model import Attempt, Flip
from wellkeeper_issuer.outside.state.database import Database, Row
from wellkeeper_issuer.outside.state.rows import from_identifiers, from_time, put_row, to_identifiers, to_time
from wellkeeper_issuer.records import Origin

_ATTEMPTS: Final = (
    "SELECT lineage, directory_url, account_url, identifiers, certificate_key_pem, csr_der, order_url, chain_pem"
    " FROM attempts"
)


class SqliteJournal:
    """Implements `ports_state.Journal`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_attempt(self, lineage: str) -> Attempt | None:
        rows = self._database.find(_attempt, f"{_ATTEMPTS} WHERE lineage = ?", lineage)
        return rows[0] if rows else None

    async def under_way(self) -> Mapping[str, bool]:
        rows = await self._database.read(_has_chain, "SELECT lineage, chain_pem IS NOT NULL AS has_chain FROM attempts")
        return dict(rows)

    async def record_attempt(self, attempt: Attempt) -> None:
        row = put_row(
            "attempts",
            lineage=attempt.lineage,
            directory_url=attempt.directory_url,
            account_url=attempt.account_url,
            identifiers=from_identifiers(attempt.identifiers),
            certificate_key_pem=attempt.certificate_key_pem,
            csr_der=attempt.csr_der,
            order_url=attempt.order_url,
            chain_pem=attempt.chain_pem,
        )
        await self._database.write(row)

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
                    (lineage, directory_url, account_url, version_before, version_after, state)
                SELECT lineage, directory_url, account_url, ?, ?, 'installed' FROM attempts WHERE lineage = ?
                """,
                (flip.before, flip.after, flip.lineage),
            ),
            put_row("owed_hooks", lineage=flip.lineage, version=flip.after),
            ("DELETE FROM attempts WHERE lineage = ?", (flip.lineage,)),
            ("DELETE FROM vetoes WHERE lineage = ?", (flip.lineage,)),
        )

    async def read_veto(self, lineage: str) -> datetime | None:
        rows = self._database.find(_veto, "SELECT asks_at FROM vetoes WHERE lineage = ?", lineage)
        return rows[0] if rows else None

    async def record_veto(self, lineage: str, asks_at: datetime) -> None:
        await self._database.write(put_row("vetoes", lineage=lineage, asks_at=from_time(asks_at)))

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
        return frozenset(await self._database.read_among(_lineage, "SELECT lineage FROM deliveries", among))

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


def _attempt(row: Row) -> Attempt:
    return Attempt(
        lineage=row["lineage"],
        directory_url=row["directory_url"],
        identifiers=to_identifiers(row["identifiers"]),
        certificate_key_pem=row["certificate_key_pem"],
        csr_der=row["csr_der"],
        order_url=row["order_url"],
        chain_pem=row["chain_pem"],
        account_url=row["account_url"],
    )


def _flip(row: Row) -> Flip:
    return Flip(row["lineage"], row["version_before"], row["version_after"])


def _origin(row: Row) -> Origin:
    return Origin(row["directory_url"], row["account_url"])


def _veto(row: Row) -> datetime:
    return to_time(row["asks_at"])


def _has_chain(row: Row) -> tuple[str, bool]:
    return row["lineage"], bool(row["has_chain"])


def _lineage(row: Row) -> str:
    return str(row["lineage"])
