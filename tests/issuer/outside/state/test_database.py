"""Writes: durable, grouped with concurrent ones, each with its own error."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.issuer.outside.states import execute
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.outside.state.database import Database, Row

_NOTICE = "INSERT INTO notices (lineage, notice) VALUES (?, 'failure')"
_WAL_HEADER, _FRAME_HEADER, _PAGE = 32, 24, 4096


def commits(folder: Path) -> int:
    """Return the number of commits: frames that end a transaction (sqlite.org/fileformat.html, section 4)."""
    wal = (folder / "state.db-wal").read_bytes()
    starts = range(_WAL_HEADER, len(wal), _FRAME_HEADER + _PAGE)
    return sum(wal[start + 4 : start + 8] != bytes(4) for start in starts)


def lineages(folder: Path) -> list[str]:
    return [row[0] for row in execute(folder / "state.db", "SELECT lineage FROM notices ORDER BY lineage")]


@pytest.fixture
async def database(folder: Path) -> AsyncIterator[Database]:
    async with Database(folder / "state.db", may_write=True) as opened:
        yield opened


class Hold:
    """Keeps the database's thread busy until it is released."""

    def __init__(self, database: Database) -> None:
        self._event = threading.Event()
        self._reading = asyncio.ensure_future(database.read(self._wait, "SELECT 1"))

    def _wait(self, _: Row) -> None:
        self._event.wait(10)

    async def release(self) -> None:
        self._event.set()
        await self._reading


async def test_concurrent_writes_share_one_commit(folder: Path, database: Database) -> None:
    before, hold = commits(folder), Hold(database)
    writes = [asyncio.ensure_future(database.write((_NOTICE, (f"web{number}",)))) for number in range(8)]
    await asyncio.sleep(0)
    await hold.release()
    await asyncio.gather(*writes)
    assert len(lineages(folder)) == 8
    assert commits(folder) - before == 1


async def test_single_write_is_durable_when_it_returns(folder: Path, database: Database) -> None:
    for number in range(3):
        before = commits(folder)
        await database.write((_NOTICE, (f"web{number}",)))
        assert commits(folder) - before == 1


async def test_each_write_raises_only_its_own_error(folder: Path, database: Database) -> None:
    hold = Hold(database)
    statements = [(_NOTICE, (name,)) for name in ("a", None, "b", "a", "c")]
    writes = [asyncio.ensure_future(database.write(statement)) for statement in statements]
    await asyncio.sleep(0)
    await hold.release()
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [isinstance(result, JournalError) for result in results] == [False, True, False, True, False]
    assert lineages(folder) == ["a", "b", "c"]


async def test_write_of_several_rows_is_all_or_nothing(folder: Path, database: Database) -> None:
    with pytest.raises(JournalError, match="UNIQUE constraint failed"):
        await database.write((_NOTICE, ("a",)), (_NOTICE, ("b",)), (_NOTICE, ("a",)))
    assert lineages(folder) == []
    await database.write((_NOTICE, ("a",)))
    assert lineages(folder) == ["a"]


async def test_cancelled_write_is_finished_with_the_writes_of_its_group(folder: Path, database: Database) -> None:
    hold = Hold(database)
    writes = [asyncio.ensure_future(database.write((_NOTICE, (name,)))) for name in ("a", "b", "c")]
    await asyncio.sleep(0)
    writes[0].cancel()
    await hold.release()
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, type(None), type(None)]
    assert lineages(folder) == ["a", "b", "c"]


async def test_find_by_key_does_not_wait_and_sees_earlier_writes(database: Database) -> None:
    await database.write((_NOTICE, ("web",)))
    hold = Hold(database)
    write = asyncio.ensure_future(database.write((_NOTICE, ("mail",))))
    await asyncio.sleep(0)
    found = [database.find(tuple, "SELECT lineage FROM notices WHERE lineage = ?", name) for name in ("web", "mail")]
    assert found == [[("web",)], []]
    await hold.release()
    await write
    assert await database.read_among(tuple, "SELECT lineage FROM notices", ["mail", "shop"]) == [("mail",)]


async def test_find_reports_a_damaged_row(folder: Path, database: Database) -> None:
    await database.write((_NOTICE, ("web",)))
    with pytest.raises(JournalError, match=re.escape(str(folder / "state.db"))):
        database.find(lambda row: int(row[0]), "SELECT lineage FROM notices")
