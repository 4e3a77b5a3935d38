"""Record owed deploy hooks, notices sent to the administrator, and rehearsals: one table each."""

from collections import defaultdict
from collections.abc import Collection, Mapping

from wellkeeper_issuer.outside.state.database import Database, Row
from wellkeeper_issuer.outside.state.rows import from_time, put_row, to_time
from wellkeeper_issuer.records import Notice, Rehearsal


class SqliteNotes:
    """Implements `ports.state.Notes`. `SqliteDeliveries.record_flip` records that a hook is owed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_owed_hooks(self, among: Collection[str] | None = None) -> Mapping[str, str]:
        return dict(await self._database.read_among(_owed, "SELECT lineage, version FROM owed_hooks", among))

    async def forget_owed_hook(self, lineage: str) -> None:
        await self._database.write(("DELETE FROM owed_hooks WHERE lineage = ?", (lineage,)))

    async def read_notices(self, among: Collection[str] | None = None) -> Mapping[str, frozenset[Notice]]:
        sent = defaultdict(set)
        for lineage, notice in await self._database.read_among(_notice, "SELECT lineage, notice FROM notices", among):
            sent[lineage].add(notice)
        return {lineage: frozenset(notices) for lineage, notices in sent.items()}

    async def record_notice(self, lineage: str, notice: Notice) -> None:
        await self._database.write(put_row("notices", lineage=lineage, notice=notice.value))

    async def forget_notices(self, lineage: str) -> None:
        await self._database.write(("DELETE FROM notices WHERE lineage = ?", (lineage,)))

    async def read_rehearsals(self) -> Mapping[str, Rehearsal]:
        rehearsals = await self._database.read(_rehearsal, "SELECT lineage, at, is_well, detail FROM rehearsals")
        return {rehearsal.lineage: rehearsal for rehearsal in rehearsals}

    async def record_rehearsal(self, rehearsal: Rehearsal) -> None:
        row = put_row(
            "rehearsals",
            lineage=rehearsal.lineage,
            at=from_time(rehearsal.at),
            is_well=rehearsal.is_well,
            detail=rehearsal.detail,
        )
        await self._database.write(row)


def _owed(row: Row) -> tuple[str, str]:
    return row["lineage"], row["version"]


def _notice(row: Row) -> tuple[str, Notice]:
    return row["lineage"], Notice(row["notice"])


def _rehearsal(row: Row) -> Rehearsal:
    return Rehearsal(row["lineage"], to_time(row["at"]), bool(row["is_well"]), row["detail"])
