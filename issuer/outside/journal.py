"""The state on disk: SQLite in `state_dir/state.db`, one connection on a thread of its own.

WAL with synchronous=FULL: what a call recorded is there after a power cut. Deleted rows are overwritten, since keys
stand in them. Design: docs/design/0006-state.md.
"""

import asyncio
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, Self, TypeVar

from issuer.errors import JournalError
from issuer.model import Attempt, Flip, Identifier, IdentifierType
from issuer.outside.threads import DaemonThreads
from issuer.records import Origin

# What each version added. Two programs may open an old file at once: the second one must not mind.
_SCHEMA: Final = (
    """
CREATE TABLE IF NOT EXISTS attempts (
    lineage TEXT PRIMARY KEY,
    directory_url TEXT NOT NULL,
    identifiers TEXT NOT NULL,
    certificate_key_pem BLOB NOT NULL,
    csr_der BLOB NOT NULL,
    order_url TEXT,
    chain_pem BLOB
) STRICT;
CREATE TABLE IF NOT EXISTS deliveries (
    lineage TEXT PRIMARY KEY,
    directory_url TEXT NOT NULL,
    version_before TEXT,
    version_after TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('installed', 'reloaded', 'served'))
) STRICT;
""",
    """
CREATE TABLE IF NOT EXISTS vetoes (
    lineage TEXT PRIMARY KEY,
    asks_at TEXT NOT NULL
) STRICT;
""",
)

T = TypeVar("T")


class SqliteJournal:
    """Implements `ports.Journal`. Use as an async context manager.

    `is_exclusive`: one pass at a time; raises JournalError when another process is at it. Readers need not wait.
    """

    def __init__(self, path: Path, *, is_exclusive: bool) -> None:
        self._path = path
        self._is_exclusive = is_exclusive
        self._lock = -1
        self._thread = DaemonThreads(1, "journal")
        self._connection: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._run(self._open)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def _end(self) -> None:
        await self._run(self._close)
        self._thread.shutdown()

    async def read_attempt(self, lineage: str) -> Attempt | None:
        def read(connection: sqlite3.Connection) -> Attempt | None:
            row = connection.execute("SELECT * FROM attempts WHERE lineage = ?", (lineage,)).fetchone()
            return None if row is None else _attempt(row)

        return await self._run(read)

    async def record_attempt(self, attempt: Attempt) -> None:
        identifiers = json.dumps([[identifier.type.value, identifier.value] for identifier in attempt.identifiers])
        await self._write(
            "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?)",
            attempt.lineage,
            attempt.directory_url,
            identifiers,
            attempt.certificate_key_pem,
            attempt.csr_der,
            attempt.order_url,
            attempt.chain_pem,
        )

    async def forget_attempt(self, lineage: str) -> None:
        await self._write("DELETE FROM attempts WHERE lineage = ?", lineage)

    async def record_order(self, lineage: str, order_url: str) -> None:
        await self._write("UPDATE attempts SET order_url = ? WHERE lineage = ?", order_url, lineage)

    async def record_chain(self, lineage: str, chain_pem: bytes) -> None:
        await self._write("UPDATE attempts SET chain_pem = ? WHERE lineage = ?", chain_pem, lineage)

    async def record_flip(self, flip: Flip) -> None:
        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(
                    "INSERT OR REPLACE INTO deliveries"
                    " SELECT lineage, directory_url, ?, ?, 'installed' FROM attempts WHERE lineage = ?",
                    (flip.before, flip.after, flip.lineage),
                )
                connection.execute("DELETE FROM attempts WHERE lineage = ?", (flip.lineage,))
                connection.execute("DELETE FROM vetoes WHERE lineage = ?", (flip.lineage,))

        await self._run(write)

    async def read_veto(self, lineage: str) -> datetime | None:
        def read(connection: sqlite3.Connection) -> datetime | None:
            row = connection.execute("SELECT asks_at FROM vetoes WHERE lineage = ?", (lineage,)).fetchone()
            return None if row is None else datetime.fromisoformat(row["asks_at"])

        return await self._run(read)

    async def record_veto(self, lineage: str, asks_at: datetime) -> None:
        await self._write("INSERT OR REPLACE INTO vetoes VALUES (?, ?)", lineage, asks_at.isoformat())

    async def forget_veto(self, lineage: str) -> None:
        await self._write("DELETE FROM vetoes WHERE lineage = ?", lineage)

    async def read_origin(self, lineage: str) -> Origin | None:
        rows = await self._read("SELECT directory_url FROM deliveries WHERE lineage = ?", lineage)
        # Empty for what was found.
        return Origin(rows[0][0], "") if rows and rows[0][0] else None

    async def installed(self) -> frozenset[str]:
        return frozenset(row[0] for row in await self._read("SELECT lineage FROM deliveries"))

    async def record_found(self, flip: Flip) -> None:
        await self._write(
            "INSERT OR REPLACE INTO deliveries VALUES (?, '', ?, ?, 'installed')", flip.lineage, flip.before, flip.after
        )

    async def undelivered(self) -> dict[str, Flip]:
        rows = await self._read(
            "SELECT lineage, version_before, version_after FROM deliveries WHERE state = 'installed' ORDER BY lineage"
        )
        return {row[0]: Flip(row[0], row[1], row[2]) for row in rows}

    async def unserved(self) -> frozenset[str]:
        return frozenset(row[0] for row in await self._read("SELECT lineage FROM deliveries WHERE state = 'reloaded'"))

    async def record_reloaded(self, lineages: Sequence[str]) -> None:
        rows = [(lineage,) for lineage in lineages]

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("UPDATE deliveries SET state = 'reloaded' WHERE lineage = ?", rows)

        await self._run(write)

    async def record_served(self, lineage: str) -> None:
        await self._write("UPDATE deliveries SET state = 'served' WHERE lineage = ?", lineage)

    def _open(self, _: object) -> None:
        if self._is_exclusive:
            self._take_lock()
        # SQLite gives the WAL the mode of the database; the file must be born with it, since keys stand in it.
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        self._connection = connection
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "busy_timeout = 5000"):
            connection.execute(f"PRAGMA {pragma}")
        if self._is_exclusive:
            # A pass must not find out in the middle; the file has a few pages.
            _check_whole(connection)
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        newest = len(_SCHEMA)
        if found > newest:
            raise JournalError(
                f"{self._path} has schema version {found}, this program knows {newest}; "
                "run the version of wellkeeper that wrote it, or a newer one"
            )
        if found < newest:
            added = "".join(_SCHEMA[found:])
            connection.executescript(f"BEGIN IMMEDIATE; {added} PRAGMA user_version = {newest}; COMMIT;")

    def _close(self, _: object) -> None:
        """Whatever `_open` came to have."""
        if self._connection is not None:
            self._connection.close()
        if self._lock >= 0:
            os.close(self._lock)

    def _take_lock(self) -> None:
        path = self._path.with_suffix(".lock")
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise JournalError(
                f"another wellkeeper-issuer is at work with {self._path.parent}; wait until it ends "
                f"('fuser {path}' names it)"
            ) from error

    async def _write(self, statement: str, *values: object) -> None:
        await self._run(lambda connection: connection.execute(statement, values))

    async def _read(self, statement: str, *values: object) -> list[sqlite3.Row]:
        return await self._run(lambda connection: connection.execute(statement, values).fetchall())

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def task() -> T:
            try:
                # None for `_open` and `_close` only, which ignore it.
                return work(self._connection)  # type: ignore[arg-type]
            except (sqlite3.Error, OSError, ValueError) as error:
                raise JournalError(f"{self._path}: {error}; {_remedy(error)}") from error

        # A write that was begun is finished, and its failure known, before a cancellation goes on.
        future = asyncio.get_running_loop().run_in_executor(self._thread, task)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise


def _check_whole(connection: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed ({found.splitlines()[-1]})")


def _attempt(row: sqlite3.Row) -> Attempt:
    pairs = json.loads(row["identifiers"])
    return Attempt(
        lineage=row["lineage"],
        directory_url=row["directory_url"],
        identifiers=tuple(Identifier(IdentifierType(kind), value) for kind, value in pairs),
        certificate_key_pem=row["certificate_key_pem"],
        csr_der=row["csr_der"],
        order_url=row["order_url"],
        chain_pem=row["chain_pem"],
    )


def _remedy(error: Exception) -> str:
    if isinstance(error, ValueError) or "not a database" in str(error) or "malformed" in str(error):
        return (
            "the file is damaged: restore it from a backup, or move it and its -wal and -shm away; what is installed"
            " stays and is not obtained again, only renewals under way start anew"
        )
    return "check space and permissions of state_dir; the next pass goes on from what is recorded"
