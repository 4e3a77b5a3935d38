"""What to do when the state cannot be used, by what the system or SQLite says."""

import errno
import sqlite3
from typing import Final

_GOES_ON: Final = "the next pass goes on from what is recorded"
_DAMAGED: Final = (
    "the file is damaged: restore it from a backup, or move it and its -wal and -shm away; what is installed"
    " stays and is not obtained again, only renewals under way start anew"
)
_FULL: Final = f"free some space there; {_GOES_ON}"
_READ_ONLY: Final = f"mount it read-write; {_GOES_ON}"
_FOREIGN: Final = (
    f"let the issuer's user write to state_dir and its files, or run the issuer as their owner; {_GOES_ON}"
)
_HELD: Final = f"another program holds it ('fuser' names it): wait for that one or end it; {_GOES_ON}"
_OTHERS: Final = f"check space and permissions of state_dir; {_GOES_ON}"

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
    sqlite3.SQLITE_BUSY: _HELD,
    sqlite3.SQLITE_LOCKED: _HELD,
}


def cause_and_remedy(error: sqlite3.Error | OSError | ValueError) -> str:
    """A ValueError is a row that makes no sense."""
    cause = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return f"{cause}; {_remedy(error)}"


def _remedy(error: sqlite3.Error | OSError | ValueError) -> str:
    if isinstance(error, ValueError):
        return _DAMAGED
    if isinstance(error, OSError):
        return _BY_ERRNO.get(error.errno or 0, _OTHERS)
    # Extended codes have the kind of error in their last byte; errors of the Python module itself have none.
    return _BY_SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, _OTHERS)
