"""Copy the whole state as of one moment into memory, also while its owner writes."""

import sqlite3
from contextlib import closing
from pathlib import Path

from wellkeeper_issuer.advice.state import cause_and_remedy
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.outside.state.connections import check_damage, open_to_read


def read_snapshot(path: Path) -> bytes:
    """Return a file with the tables of this version; without a file, they are empty. Raises JournalError."""
    try:
        with closing(open_to_read(path)) as connection, closing(sqlite3.connect(":memory:")) as copy:
            connection.backup(copy)
            check_damage(copy)
            return copy.serialize()
    except (sqlite3.Error, OSError, ValueError) as error:
        raise JournalError(f"cannot use {path}", *cause_and_remedy(error)) from error
