"""Remedies for errors of the state, by error code of the system or of SQLite."""

import errno
import sqlite3
from typing import Final

_DAMAGED: Final = "Restore the file from a backup, or move it and its -wal and -shm away: installed certificates stay."
_FULL: Final = "Free some space there; the next pass resumes."
_READ_ONLY: Final = "Mount it read-write; the next pass resumes."
_FOREIGN: Final = "Let the issuer's user write to state_dir and its files, or run the issuer as their owner."
_LOCKED: Final = "Wait for the program that uses it, or stop that ('fuser' shows it); the next pass resumes."
_OTHERS: Final = "Check space and permissions of state_dir; the next pass resumes."

_BY_ERRNO: Final = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _FOREIGN,
    errno.EPERM: _FOREIGN,
}
_BY_SQLITE: Final = {
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _FOREIGN,
    sqlite3.SQLITE_CANTOPEN: _FOREIGN,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
}


def cause_and_remedy(error: sqlite3.Error | OSError | ValueError) -> tuple[str, str]:
    """Return why and remedy for an error message. A ValueError means that a row is not valid."""
    cause = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return cause, _remedy(error)


def _remedy(error: sqlite3.Error | OSError | ValueError) -> str:
    if isinstance(error, ValueError):
        return _DAMAGED
    if isinstance(error, OSError):
        return _BY_ERRNO.get(error.errno or 0, _OTHERS)
    # The last byte of an extended code is the kind of error; errors of the Python module itself have no code.
    return _BY_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, _OTHERS)
