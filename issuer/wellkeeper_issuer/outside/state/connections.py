"""Opens `state.db`: to own it (checked whole, of the newest schema), or to read what is there.

A reader writes nothing of its own and migrates nothing; what is old or not there it reads by way of a copy in memory.
"""

import os
import sqlite3
from pathlib import Path
from typing import Final

from wellkeeper_issuer.outside.state.schema import NEWEST, migrate, version_of

_PRAGMAS: Final = ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "busy_timeout = 5000")


def open_to_own(path: Path) -> sqlite3.Connection:
    """The caller holds the lock. Raises sqlite3.Error, OSError, ValueError (damaged) and JournalError, and
    leaves nothing open then.
    """
    _make(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        found = version_of(connection, path)
        _check_whole(connection)  # a pass must not find out in the middle
        migrate(connection, found)
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_read(path: Path) -> sqlite3.Connection:
    """Raises as `open_to_own` does. No file is no rows."""
    try:
        path.stat()
    except FileNotFoundError:
        return _in_memory(None, 0)
    connection = _read_only(path)
    try:
        found = version_of(connection, path)
        copied = _in_memory(connection, found) if found < NEWEST else None
    except BaseException:
        connection.close()
        raise
    if copied is None:
        return connection
    connection.close()
    return copied


def _make(path: Path) -> None:
    """SQLite gives the WAL the mode of the database, which must be born with it, since keys stand in it."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _read_only(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        return _connected(uri)
    except sqlite3.OperationalError as error:
        is_at_rest = not path.with_name(f"{path.name}-wal").exists()
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN or not is_at_rest:
            raise
        # Where SQLite cannot put its -shm (a file system that is read-only), and nobody is at work.
        return _connected(f"{uri}&immutable=1")


def _connected(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA user_version").fetchone()  # opens it in truth
    except BaseException:
        connection.close()
        raise
    return connection


def _in_memory(source: sqlite3.Connection | None, found: int) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    if source is not None:
        source.backup(copy)
    migrate(copy, found)
    return copy


def _check_whole(connection: sqlite3.Connection) -> None:
    """Raises ValueError and sqlite3.Error."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise ValueError(f"database disk image is malformed ({found.splitlines()[-1]})")
