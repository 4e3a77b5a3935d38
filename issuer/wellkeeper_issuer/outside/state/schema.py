"""The tables of `state.db`, by what each schema version added.

Times are seconds since the epoch (REAL), but for `vetoes`; identifiers are JSON. Keys stand in `attempts` alone.
Design: docs/design/0006-state.md.
"""

import sqlite3
from pathlib import Path
from typing import Final

from wellkeeper_issuer.errors import JournalError

_ADDED: Final = (
    """
CREATE TABLE attempts (
    lineage TEXT PRIMARY KEY,
    directory_url TEXT NOT NULL,
    identifiers TEXT NOT NULL,
    certificate_key_pem BLOB NOT NULL,
    csr_der BLOB NOT NULL,
    order_url TEXT,
    chain_pem BLOB
) STRICT;
CREATE TABLE deliveries (
    lineage TEXT PRIMARY KEY,
    directory_url TEXT NOT NULL,
    version_before TEXT,
    version_after TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('installed', 'reloaded', 'served'))
) STRICT;
""",
    """
CREATE TABLE vetoes (
    lineage TEXT PRIMARY KEY,
    asks_at TEXT NOT NULL
) STRICT;
""",
    """
ALTER TABLE attempts ADD COLUMN account_url TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN account_url TEXT NOT NULL DEFAULT '';
CREATE TABLE schedules (
    lineage TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    identifiers TEXT NOT NULL,
    not_before REAL NOT NULL,
    not_after REAL NOT NULL,
    directory_url TEXT NOT NULL,
    account_url TEXT NOT NULL,
    certificate_id TEXT,
    rule TEXT NOT NULL,
    renew_at REAL NOT NULL,
    ask_at REAL,
    window_start REAL,
    window_end REAL,
    explanation_url TEXT,
    unanswered INTEGER NOT NULL
) STRICT;
CREATE TABLE failures (
    lineage TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    stage TEXT NOT NULL,
    message TEXT NOT NULL,
    retry TEXT NOT NULL,
    first_at REAL NOT NULL,
    last_at REAL NOT NULL,
    next_try_at REAL NOT NULL,
    problem TEXT
) STRICT;
CREATE TABLE uses (
    directory_url TEXT NOT NULL,
    spent TEXT NOT NULL,
    scope TEXT NOT NULL,
    value TEXT NOT NULL,
    at REAL NOT NULL,
    is_exempt INTEGER NOT NULL
) STRICT;
CREATE INDEX uses_by_value ON uses (directory_url, value, spent, scope, at);
CREATE INDEX uses_by_time ON uses (at);
CREATE TABLE blocks (
    directory_url TEXT NOT NULL,
    lineage TEXT NOT NULL,
    until REAL NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (directory_url, lineage)
) STRICT;
CREATE TABLE owed_hooks (
    lineage TEXT PRIMARY KEY,
    version TEXT NOT NULL
) STRICT;
CREATE TABLE notices (
    lineage TEXT NOT NULL,
    notice TEXT NOT NULL,
    PRIMARY KEY (lineage, notice)
) STRICT;
CREATE TABLE rehearsals (
    lineage TEXT PRIMARY KEY,
    at REAL NOT NULL,
    is_well INTEGER NOT NULL,
    detail TEXT NOT NULL
) STRICT;
""",
)
NEWEST: Final = len(_ADDED)
# Of all tables with rows of a lineage. What a CA counts is not among them, for it goes on counting.
FORGET_LINEAGE: Final = (
    "DELETE FROM attempts WHERE lineage = ?",
    "DELETE FROM deliveries WHERE lineage = ?",
    "DELETE FROM vetoes WHERE lineage = ?",
    "DELETE FROM schedules WHERE lineage = ?",
    "DELETE FROM failures WHERE lineage = ?",
    "DELETE FROM blocks WHERE lineage = ?",
    "DELETE FROM owed_hooks WHERE lineage = ?",
    "DELETE FROM notices WHERE lineage = ?",
    "DELETE FROM rehearsals WHERE lineage = ?",
)


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """0 for a file without tables; raises JournalError when it is newer than this program."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > NEWEST:
        raise JournalError(
            f"{path} has schema version {found}, this program knows {NEWEST}; "
            "run the version of wellkeeper that wrote it, or a newer one"
        )
    return int(found)


def migrate(connection: sqlite3.Connection, found: int) -> None:
    """From version `found` to the newest, wholly or not at all; the caller keeps others from doing it, too."""
    if found < NEWEST:
        added = "".join(_ADDED[found:])
        connection.executescript(f"BEGIN IMMEDIATE; {added} PRAGMA user_version = {NEWEST}; COMMIT;")
