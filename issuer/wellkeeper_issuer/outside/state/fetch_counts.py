"""Record how many fetches precede the verdicts of a CA: rows of fetch_counts."""

from typing import Final

from wellkeeper_issuer.outside.state.database import Database, Row
from wellkeeper_issuer.outside.state.rows import put_row
from wellkeeper_issuer.records import FetchCount

# A CA fetches from a handful of places, and validation never waits longer for quiet.
_MOST_FETCHES: Final = 100
_LONGEST_QUIET_SECONDS: Final = 1.0


class SqliteFetchCounts:
    """Implements `ports.state.FetchCounts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_fetch_count(self, directory_url: str) -> FetchCount | None:
        rows = self._database.find(_count, "SELECT * FROM fetch_counts WHERE directory_url = ?", directory_url)
        return rows[0] if rows and _makes_sense(rows[0]) else None

    async def record_fetch_count(self, fetch_count: FetchCount) -> None:
        await self._database.write(
            put_row(
                "fetch_counts",
                directory_url=fetch_count.directory_url,
                fetches=fetch_count.fetches,
                repeats=fetch_count.repeats,
                quiet_seconds=fetch_count.quiet_seconds,
            )
        )


def _count(row: Row) -> FetchCount:
    return FetchCount(row["directory_url"], row["fetches"], row["repeats"], row["quiet_seconds"])


def _makes_sense(one: FetchCount) -> bool:
    is_count = 0 < one.fetches <= _MOST_FETCHES and one.repeats >= 0
    return is_count and 0 < one.quiet_seconds <= _LONGEST_QUIET_SECONDS
