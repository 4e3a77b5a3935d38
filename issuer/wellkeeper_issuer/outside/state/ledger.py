"""What CAs were asked for, as their limits count it: rows of uses and blocks."""

from collections.abc import Sequence
from datetime import datetime

from wellkeeper_issuer.outside.state.database import Database, Row
from wellkeeper_issuer.outside.state.rows import from_time, to_time
from wellkeeper_issuer.records import Blocked, Scope, Spent, Use


class SqliteLedger:
    """Implements `ports_state.Ledger`."""

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
        statement = "INSERT INTO uses VALUES (?, ?, ?, ?, ?, ?)"
        await self._database.write(*((statement, _values(use)) for use in uses))

    async def read_values(self, directory_url: str, since: datetime) -> Sequence[tuple[Spent, Scope, str, int, int]]:
        return await self._database.read(
            _count,
            "SELECT spent, scope, value, sum(NOT is_exempt), sum(is_exempt) FROM uses"
            " WHERE directory_url = ? AND at >= ? GROUP BY spent, scope, value ORDER BY spent, scope, value",
            directory_url,
            from_time(since),
        )

    async def forget_uses(self, before: datetime) -> None:
        await self._database.write(("DELETE FROM uses WHERE at < ?", (from_time(before),)))

    async def read_blocks(self) -> Sequence[Blocked]:
        return await self._database.read(_blocked, "SELECT * FROM blocks ORDER BY directory_url, lineage")

    async def record_block(self, blocked: Blocked) -> None:
        values = (blocked.directory_url, blocked.lineage, from_time(blocked.until), blocked.reason)
        await self._database.write(("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?)", values))


def _values(use: Use) -> Row:
    return use.directory_url, use.spent.value, use.scope.value, use.value, from_time(use.at), use.is_exempt


def _at(row: Row) -> datetime:
    return to_time(row[0])


def _count(row: Row) -> tuple[Spent, Scope, str, int, int]:
    spent, scope, value, counted, exempt = row
    return Spent(spent), Scope(scope), value, counted, exempt


def _blocked(row: Row) -> Blocked:
    directory_url, lineage, until, reason = row
    return Blocked(directory_url, lineage, to_time(until), reason)
