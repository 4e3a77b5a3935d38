"""The tables of `state.db`.

Times are seconds since the epoch (REAL); identifiers are JSON. Only `attempts` contains keys.
Design: docs/design/0006-state.md.
"""

import sqlite3
from pathlib import Path
from typing import Final

from wellkeeper_issuer.errors import JournalError

# Development versions wrote 1 to 3, with other tables; they are refused.
VERSION: Final = 10
_CHECKS: Final = """
CREATE TABLE checks (
    lineage TEXT NOT NULL,
    node TEXT NOT NULL,
    version TEXT NOT NULL,
    seen TEXT NOT NULL,
    at REAL NOT NULL,
    leaf_not_before REAL,
    leaf_not_after REAL,
    served_version TEXT,
    returned_from TEXT,
    PRIMARY KEY (lineage, node)
) STRICT;
"""
_FETCH_COUNTS: Final = """
CREATE TABLE fetch_counts (
    directory_url TEXT PRIMARY KEY,
    fetches INTEGER NOT NULL,
    repeats INTEGER NOT NULL,
    quiet_seconds REAL NOT NULL
) STRICT;
"""
_FLEET: Final = """
CREATE TABLE fleet_nodes (
    name TEXT PRIMARY KEY,
    signing_key TEXT NOT NULL,
    sealing_key TEXT NOT NULL,
    lineages TEXT NOT NULL,
    answers INTEGER NOT NULL,
    enrolled_at REAL NOT NULL,
    is_ephemeral INTEGER NOT NULL,
    invite TEXT NOT NULL
) STRICT;
CREATE TABLE fleet_reports (
    node TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    at REAL NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE fleet_missing_tokens (
    node TEXT PRIMARY KEY,
    identifier TEXT NOT NULL,
    at REAL NOT NULL,
    cause TEXT NOT NULL,
    is_reported INTEGER NOT NULL
) STRICT;
CREATE TABLE fleet_invites (
    id TEXT PRIMARY KEY,
    node TEXT NOT NULL,
    secret BLOB NOT NULL,
    terms TEXT NOT NULL,
    lineages TEXT NOT NULL,
    answers INTEGER NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    uses INTEGER NOT NULL,
    is_ephemeral INTEGER NOT NULL,
    revoked_at REAL
) STRICT;
"""
_FLEET_USES: Final = """
CREATE TABLE fleet_uses (
    invite TEXT NOT NULL,
    signing_key TEXT NOT NULL,
    PRIMARY KEY (invite, signing_key)
) STRICT;
"""
_PUBLICATIONS: Final = """
CREATE TABLE publications (
    jti TEXT PRIMARY KEY,
    token TEXT NOT NULL,
    lineage TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX publications_by_lineage ON publications (lineage);
"""
_VETOES: Final = """
CREATE TABLE vetoes (
    lineage TEXT NOT NULL,
    node TEXT NOT NULL,
    asks_at REAL NOT NULL,
    PRIMARY KEY (lineage, node)
) STRICT;
"""
_OUTBOX: Final = """
CREATE TABLE outbox (
    target TEXT NOT NULL,
    id TEXT NOT NULL,
    notice TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    at REAL NOT NULL,
    is_sent INTEGER NOT NULL,
    PRIMARY KEY (target, id)
) STRICT;
CREATE TABLE outbox_troubles (
    target TEXT PRIMARY KEY,
    since REAL NOT NULL,
    error TEXT NOT NULL
) STRICT;
"""
# Until version 7, a veto was about all nodes.
_OLD_VETOES: Final = "ALTER TABLE vetoes RENAME TO vetoes_of_all;"
_KEPT_VETOES: Final = """
INSERT INTO vetoes SELECT lineage, '', asks_at FROM vetoes_of_all;
DROP TABLE vetoes_of_all;
"""
# Until version 8, an invite was for one node, whose keys it had once it was used.
_SINCE_8: Final = """
ALTER TABLE fleet_nodes ADD COLUMN is_ephemeral INTEGER NOT NULL DEFAULT 0;
ALTER TABLE fleet_nodes ADD COLUMN invite TEXT NOT NULL DEFAULT '';
ALTER TABLE fleet_invites ADD COLUMN uses INTEGER NOT NULL DEFAULT 1;
ALTER TABLE fleet_invites ADD COLUMN is_ephemeral INTEGER NOT NULL DEFAULT 0;
ALTER TABLE fleet_invites ADD COLUMN revoked_at REAL;
INSERT INTO fleet_uses SELECT id, signing_key FROM fleet_invites WHERE signing_key != '';
UPDATE fleet_nodes SET invite = (SELECT id FROM fleet_invites WHERE node = name)
WHERE name IN (SELECT node FROM fleet_invites WHERE signing_key != '');
ALTER TABLE fleet_invites DROP COLUMN signing_key;
ALTER TABLE fleet_invites DROP COLUMN sealing_key;
"""
_SINCE_7: Final = _OLD_VETOES + _VETOES + _KEPT_VETOES + _PUBLICATIONS
_TABLES: Final = """
CREATE TABLE attempts (
    lineage TEXT PRIMARY KEY,
    directory_url TEXT NOT NULL,
    account_url TEXT NOT NULL,
    identifiers TEXT NOT NULL,
    certificate_key_pem BLOB NOT NULL,
    csr_der BLOB NOT NULL,
    order_url TEXT,
    authorization_urls TEXT NOT NULL,
    finalize_url TEXT NOT NULL,
    chain_pem BLOB
) STRICT;
CREATE TABLE deliveries (
    lineage TEXT NOT NULL,
    node TEXT NOT NULL,
    directory_url TEXT NOT NULL,
    account_url TEXT NOT NULL,
    version_before TEXT,
    version_after TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('installed', 'reloaded', 'served')),
    PRIMARY KEY (lineage, node)
) STRICT;
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
    unanswered INTEGER NOT NULL,
    held_until REAL
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
    problem TEXT,
    identifiers TEXT NOT NULL DEFAULT '[]',
    refused TEXT NOT NULL DEFAULT '[]',
    refused_since REAL
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
"""
_SINCE_4: Final = f"""
ALTER TABLE attempts ADD COLUMN authorization_urls TEXT NOT NULL DEFAULT '[]';
ALTER TABLE attempts ADD COLUMN finalize_url TEXT NOT NULL DEFAULT '';
ALTER TABLE schedules ADD COLUMN held_until REAL;
ALTER TABLE failures ADD COLUMN identifiers TEXT NOT NULL DEFAULT '[]';
ALTER TABLE failures ADD COLUMN refused TEXT NOT NULL DEFAULT '[]';
ALTER TABLE failures ADD COLUMN refused_since REAL;
{_CHECKS}"""
# By the version of a file: 4 is of release 0.1.0, 5 to 9 of the development after it.
_OLDEST_VERSION: Final = 4
_CHANGES: Final = {
    0: _TABLES + _CHECKS + _FETCH_COUNTS + _FLEET + _FLEET_USES + _VETOES + _PUBLICATIONS + _OUTBOX,
    _OLDEST_VERSION: _SINCE_4 + _FETCH_COUNTS + _FLEET + _FLEET_USES + _SINCE_7 + _OUTBOX,
    5: _FETCH_COUNTS + _FLEET + _FLEET_USES + _SINCE_7 + _OUTBOX,
    6: _FLEET + _FLEET_USES + _SINCE_7 + _OUTBOX,
    7: _FLEET_USES + _SINCE_8 + _SINCE_7 + _OUTBOX,
    8: _FLEET_USES + _SINCE_8 + _OUTBOX,
    9: _OUTBOX,
}
# All tables with rows of a lineage, except `uses`: the CA keeps counting; `publications`: nodes have the tokens; and
# `outbox`: what happened stays true.
FORGET_LINEAGE: Final = (
    "DELETE FROM attempts WHERE lineage = ?",
    "DELETE FROM deliveries WHERE lineage = ?",
    "DELETE FROM checks WHERE lineage = ?",
    "DELETE FROM vetoes WHERE lineage = ?",
    "DELETE FROM schedules WHERE lineage = ?",
    "DELETE FROM failures WHERE lineage = ?",
    "DELETE FROM blocks WHERE lineage = ?",
    "DELETE FROM owed_hooks WHERE lineage = ?",
    "DELETE FROM notices WHERE lineage = ?",
    "DELETE FROM rehearsals WHERE lineage = ?",
)


def read_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version, 0 for a new file; raise JournalError when it cannot be used."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found != VERSION and found not in _CHANGES:
        raise JournalError(
            f"cannot use {path}",
            f"it has schema version {found}, this version of Wellkeeper reads only {_OLDEST_VERSION} to {VERSION}",
            "Run the version that wrote it, or move the file away: installed certificates stay.",
        )
    return int(found)


def make_current(connection: sqlite3.Connection, version: int) -> None:
    """Create all tables, or change those of an older version, in one transaction. The caller owns the state."""
    changes = _CHANGES.get(version)
    if changes is not None:
        connection.executescript(f"BEGIN IMMEDIATE; {changes} PRAGMA user_version = {VERSION}; COMMIT;")
