"""Open `state.db` to write (after a check for damage, with its tables) or to read.

A reader writes nothing; without a file, it reads empty tables in memory.
"""

import os
import sqlite3
from pathlib import Path
from typing import Final

from wellkeeper_issuer.outside.state.schema import VERSION, make_current, read_version
from wellkeeper_node import presence

_PRAGMAS: Final = ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "busy_timeout = 5000")


def open_to_write(path: Path) -> sqlite3.Connection:
    """Return a connection that may write; the caller owns the state.

    Raises sqlite3.Error, OSError, ValueError (damaged) and JournalError, with nothing left open.
    """
    _make(path)
    connection = _connect(str(path))
    try:
        version = read_version(connection, path)  # before anything is written
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        check_damage(connection)  # so that a pass does not fail halfway
        make_current(connection, version)
    except BaseException:
        connection.close()
        raise
    return connection


def open_to_read(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write; without a file, all tables are empty. Raises as `open_to_write`."""
    try:
        path.stat()
    except FileNotFoundError:
        return _in_memory()
    connection = _read_only(path)
    try:
        version = read_version(connection, path)
        if version == VERSION:
            return connection
        older = _in_memory(connection, version)
    except BaseException:
        connection.close()
        raise
    connection.close()
    return older


def _make(path: Path) -> None:
    """Create the file with its mode, which SQLite gives to the WAL as well: both contain keys."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _read_only(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        return _connect_to_read(uri)
    except sqlite3.OperationalError as error:
        is_at_rest = not presence.exists(path.with_name(f"{path.name}-wal"))
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN or not is_at_rest:
            raise
        # SQLite cannot create its -shm (read-only file system), and no process is writing.
        return _connect_to_read(f"{uri}&immutable=1")


def _connect_to_read(uri: str) -> sqlite3.Connection:
    connection = _connect(uri, is_uri=True)
    try:
        connection.execute("PRAGMA user_version").fetchone()  # opens the file
    except BaseException:
        connection.close()
        raise
    return connection


def _in_memory(older: sqlite3.Connection | None = None, version: int = 0) -> sqlite3.Connection:
    """Return a copy of the tables of an older version, changed to this one, or empty tables."""
    connection = _connect(":memory:")
    if older is not None:
        older.backup(connection)
    make_current(connection, version)
    return connection


def _connect(database: str, *, is_uri: bool = False) -> sqlite3.Connection:
    """Return a connection whose rows are read by the names of their columns."""
    connection = sqlite3.connect(database, uri=is_uri, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    return connection


def check_damage(connection: sqlite3.Connection) -> None:
    """Raise ValueError for damage, and sqlite3.Error."""
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise ValueError(f"database disk image is malformed ({found.splitlines()[-1]})")
