"""Record installed versions from installed to served: rows of deliveries, per lineage and node."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from wellkeeper_issuer.outside.state.database import Database, Row, Statement
from wellkeeper_issuer.outside.state.rows import from_time, put_row, to_time, to_time_or_none
from wellkeeper_issuer.records import LOCAL_NODE, Check, Origin, Seen
from wellkeeper_node.model import Flip

_LINEAGES: Final = "SELECT lineage FROM deliveries"
_CHECKS: Final = "SELECT * FROM checks"
_FLIPS: Final = "SELECT lineage, version_before, version_after FROM deliveries"
_DELIVERIES: Final = "SELECT lineage, version_before, version_after, directory_url, account_url, state FROM deliveries"


@dataclass(frozen=True, slots=True)
class Delivery:
    """An installed version with its issuer; `state` is `installed`, `reloaded` or `served`."""

    flip: Flip
    origin: Origin | None
    state: str


class SqliteDeliveries:
    """Implements `ports.state.DeliveryRecords` for one node; rows of other nodes are neither read nor changed."""

    def __init__(self, database: Database, node: str = LOCAL_NODE) -> None:
        self._database = database
        self._node = node

    async def record_flip(self, flip: Flip) -> None:
        await self._database.write(
            (
                """
                INSERT OR REPLACE INTO deliveries
                    (lineage, node, directory_url, account_url, version_before, version_after, state)
                SELECT lineage, ?, directory_url, account_url, ?, ?, 'installed' FROM attempts WHERE lineage = ?
                """,
                (self._node, flip.before, flip.after, flip.lineage),
            ),
            put_row("owed_hooks", lineage=flip.lineage, version=flip.after),
            ("DELETE FROM attempts WHERE lineage = ?", (flip.lineage,)),
            ("DELETE FROM vetoes WHERE lineage = ?", (flip.lineage,)),
        )

    async def record_found(self, flip: Flip) -> None:
        statement = """
            INSERT INTO deliveries (lineage, node, directory_url, account_url, version_before, version_after, state)
            VALUES (?, ?, '', '', ?, ?, 'installed')
            ON CONFLICT (lineage, node) DO UPDATE SET
                directory_url = iif(version_after = excluded.version_after, directory_url, ''),
                account_url = iif(version_after = excluded.version_after, account_url, ''),
                version_before = excluded.version_before,
                version_after = excluded.version_after,
                state = excluded.state
            """
        await self._database.write((statement, (flip.lineage, self._node, flip.before, flip.after)))

    def read_delivery(self, lineage: str) -> Delivery | None:
        """Return the row of the lineage. Raises JournalError."""
        rows = self._database.find(_delivery, f"{_DELIVERIES} WHERE lineage = ? AND node = ?", lineage, self._node)
        return rows[0] if rows else None

    async def read_origin(self, lineage: str) -> Origin | None:
        delivery = self.read_delivery(lineage)
        return delivery.origin if delivery else None

    async def installed(self, among: Collection[str] | None = None) -> frozenset[str]:
        return frozenset(await self._database.read_among(_lineage, _LINEAGES, among, node=self._node))

    async def undelivered(self, among: Collection[str] | None = None) -> dict[str, Flip]:
        found = await self._database.read_among(_flip, _FLIPS, among, node=self._node, state="installed")
        return {flip.lineage: flip for flip in found}

    async def unserved(self, among: Collection[str] | None = None) -> frozenset[str]:
        found = await self._database.read_among(_lineage, _LINEAGES, among, node=self._node, state="reloaded")
        return frozenset(found)

    async def record_reloaded(self, lineages: Sequence[str]) -> None:
        await self._database.write(*(self._in_state("reloaded", lineage) for lineage in lineages))

    async def record_returned(self, flip: Flip) -> None:
        row = self._in_state("installed", flip.lineage)
        versions = (
            "UPDATE deliveries SET version_before = ?, version_after = ? WHERE lineage = ? AND node = ?",
            (flip.before, flip.after, flip.lineage, self._node),
        )
        await self._database.write(row, versions)

    async def checks(self, among: Collection[str] | None = None) -> dict[str, Check]:
        found = await self._database.read_among(_check, _CHECKS, among, node=self._node)
        return {one.lineage: one for one in found}

    async def record_check(self, check: Check) -> None:
        row = put_row(
            "checks",
            lineage=check.lineage,
            node=self._node,
            version=check.version,
            seen=check.seen.value,
            at=from_time(check.at),
            leaf_not_before=from_time(check.leaf_not_before),
            leaf_not_after=from_time(check.leaf_not_after),
            served_version=check.served_version,
            returned_from=check.returned_from,
        )
        await self._database.write(row)

    async def record_served(self, lineage: str) -> None:
        await self._database.write(self._in_state("served", lineage))

    def _in_state(self, state: str, lineage: str) -> Statement:
        return "UPDATE deliveries SET state = ? WHERE lineage = ? AND node = ?", (state, lineage, self._node)


def _flip(row: Row) -> Flip:
    return Flip(row["lineage"], row["version_before"], row["version_after"])


def _check(row: Row) -> Check:
    return Check(
        lineage=row["lineage"],
        version=row["version"],
        seen=Seen(row["seen"]),
        at=to_time(row["at"]),
        leaf_not_before=to_time_or_none(row["leaf_not_before"]),
        leaf_not_after=to_time_or_none(row["leaf_not_after"]),
        served_version=row["served_version"],
        returned_from=row["returned_from"],
    )


def _delivery(row: Row) -> Delivery:
    # The directory's URL is empty when the installed version was found and its CA is unknown.
    origin = Origin(row["directory_url"], row["account_url"]) if row["directory_url"] else None
    return Delivery(_flip(row), origin, row["state"])


def _lineage(row: Row) -> str:
    return str(row["lineage"])
