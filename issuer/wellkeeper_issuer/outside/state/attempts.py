"""Record renewals under way: rows of attempts, the only rows with keys."""

import json
from collections.abc import Mapping
from typing import Final

from wellkeeper_issuer.model import Attempt, Order, UnderWay
from wellkeeper_issuer.outside.state.database import Database, Row
from wellkeeper_issuer.outside.state.rows import from_identifiers, put_row, to_identifiers

_ATTEMPTS: Final = (
    "SELECT lineage, directory_url, account_url, identifiers, certificate_key_pem, csr_der, order_url,"
    " authorization_urls, finalize_url, chain_pem FROM attempts"
)
_UNDER_WAY: Final = (
    "SELECT lineage, directory_url, identifiers, length(certificate_key_pem) > 0 AS has_certificate_key,"
    " chain_pem IS NOT NULL AS has_chain FROM attempts"
)


class SqliteAttempts:
    """Implements `ports.state.AllAttempts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def under_way(self) -> Mapping[str, UnderWay]:
        return dict(await self._database.read(_under_way, _UNDER_WAY))

    async def read_attempt(self, lineage: str) -> Attempt | None:
        rows = self._database.find(_attempt, f"{_ATTEMPTS} WHERE lineage = ?", lineage)
        return rows[0] if rows else None

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
            authorization_urls=json.dumps(attempt.authorization_urls),
            finalize_url=attempt.finalize_url,
            chain_pem=attempt.chain_pem,
        )
        await self._database.write(row)

    async def forget_attempt(self, lineage: str) -> None:
        await self._database.write(("DELETE FROM attempts WHERE lineage = ?", (lineage,)))

    async def record_order(self, lineage: str, placed: Order) -> None:
        update = "UPDATE attempts SET order_url = ?, authorization_urls = ?, finalize_url = ? WHERE lineage = ?"
        values = placed.url, json.dumps(placed.authorization_urls), placed.finalize_url, lineage
        await self._database.write((update, values))

    async def record_chain(self, lineage: str, chain_pem: bytes) -> None:
        await self._database.write(("UPDATE attempts SET chain_pem = ? WHERE lineage = ?", (chain_pem, lineage)))


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
        authorization_urls=tuple(json.loads(row["authorization_urls"])),
        finalize_url=row["finalize_url"],
    )


def _under_way(row: Row) -> tuple[str, UnderWay]:
    return row["lineage"], UnderWay(
        row["directory_url"],
        to_identifiers(row["identifiers"]),
        has_certificate_key=bool(row["has_certificate_key"]),
        has_chain=bool(row["has_chain"]),
    )
