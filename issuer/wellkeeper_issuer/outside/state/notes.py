"""Hooks that are owed, what the administrator was told, and rehearsals: a table each."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from wellkeeper_issuer.outside.state.database import Database, Row
from wellkeeper_issuer.outside.state.rows import from_time, to_time
from wellkeeper_issuer.records import Notice, Rehearsal


class SqliteNotes:
    """Implements `ports_state.Notes`. `SqliteJournal.record_flip` writes that a hook is owed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_owed_hooks(self, among: Collection[str] | None = None) -> Mapping[str, str]:
        return dict(await self._database.read_among(_pair, "SELECT lineage, version FROM owed_hooks", among))

    async def forget_owed_hook(self, lineage: str) -> None:
        await self._database.write(("DELETE FROM owed_hooks WHERE lineage = ?", (lineage,)))

    async def read_notices(self, among: Collection[str] | None = None) -> Mapping[str, frozenset[Notice]]:
        told = defaultdict(set)
        for lineage, notice in await self._database.read_among(_told, "SELECT lineage, notice FROM notices", among):
            told[lineage].add(notice)
        return {lineage: frozenset(notices) for lineage, notices in told.items()}

    async def record_notice(self, lineage: str, notice: Notice) -> None:
        await self._database.write(("INSERT OR IGNORE INTO notices VALUES (?, ?)", (lineage, notice.value)))

    async def forget_notices(self, lineage: str) -> None:
        await self._database.write(("DELETE FROM notices WHERE lineage = ?", (lineage,)))

    async def read_rehearsals(self) -> Mapping[str, Rehearsal]:
        rehearsals = await self._database.read(_rehearsal, "SELECT * FROM rehearsals")
        return {rehearsal.lineage: rehearsal for rehearsal in rehearsals}

    async def record_rehearsal(self, rehearsal: Rehearsal) -> None:
        values = (rehearsal.lineage, from_time(rehearsal.at), rehearsal.is_well, rehearsal.detail)
        await self._database.write(("INSERT OR REPLACE INTO rehearsals VALUES (?, ?, ?, ?)", values))


def _pair(row: Row) -> tuple[str, str]:
    return row[0], row[1]


def _told(row: Row) -> tuple[str, Notice]:
    return row[0], Notice(row[1])


def _rehearsal(row: Row) -> Rehearsal:
    lineage, at, is_well, detail = row
    return Rehearsal(lineage, to_time(at), bool(is_well), detail)
