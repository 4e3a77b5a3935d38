"""Record requests to CAs, as their limits count them: rows of uses and blocks."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from wellkeeper_issuer.outside.state.database import Database, Row, Statement
from wellkeeper_issuer.outside.state.rows import from_time, put_row, to_time
from wellkeeper_issuer.records import Blocked, Scope, Spent, Use

_BLOCKS: Final = "SELECT directory_url, lineage, until, reason FROM blocks ORDER BY directory_url, lineage"


class SqliteLedger:
    """Implements `ports.state.Ledger`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_uses(
        self, directory_url: str, spent: Spent, scope: Scope, value: str, since: datetime
    ) -> Sequence[datetime]:
        return self._database.find(
            _at,
            "SELECT at FROM uses WHERE directory_url = ? AND value = ? AND spent = ? AND scope = ? AND at >= ?"
            " AND NOT is_exempt ORDER BY at",
            directory_url,
            value,
            spent.value,
            scope.value,
            from_time(since),
        )

    async def record_uses(self, uses: Sequence[Use]) -> None:
        await self._database.write(*map(_row, uses))

    async def read_values(self, directory_url: str, since: datetime) -> Sequence[tuple[Spent, Scope, str, int, int]]:
        return await self._database.read(
            _count,
            "SELECT spent, scope, value, sum(NOT is_exempt) AS counted, sum(is_exempt) AS exempt FROM uses"
            " WHERE directory_url = ? AND at >= ? GROUP BY spent, scope, value ORDER BY spent, scope, value",
            directory_url,
            from_time(since),
        )

    async def forget_uses(self, before: datetime) -> None:
        await self._database.write(("DELETE FROM uses WHERE at < ?", (from_time(before),)))

    async def read_blocks(self) -> Sequence[Blocked]:
        return await self._database.read(_blocked, _BLOCKS)

    async def record_block(self, blocked: Blocked) -> None:
        row = put_row(
            "blocks",
            directory_url=blocked.directory_url,
            lineage=blocked.lineage,
            until=from_time(blocked.until),
            reason=blocked.reason,
        )
        await self._database.write(row)


def _row(use: Use) -> Statement:
    return put_row(
        "uses",
        directory_url=use.directory_url,
        spent=use.spent.value,
        scope=use.scope.value,
        value=use.value,
        at=from_time(use.at),
        is_exempt=use.is_exempt,
    )


def _at(row: Row) -> datetime:
    return to_time(row["at"])


def _count(row: Row) -> tuple[Spent, Scope, str, int, int]:
    return Spent(row["spent"]), Scope(row["scope"]), row["value"], row["counted"], row["exempt"]


def _blocked(row: Row) -> Blocked:
    return Blocked(row["directory_url"], row["lineage"], to_time(row["until"]), row["reason"])
