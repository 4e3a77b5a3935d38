"""State files as tests find and make them: as earlier versions left them, and row by row."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tests.fakes_deliver import dns
from wellkeeper_issuer.errors import Retry
from wellkeeper_issuer.model import Attempt, Flip, Identifier, IdentifierType
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import Blocked, Failure, Notice, Rehearsal, Rule, Schedule, Scope, Spent, Use, Window

CA: Final = "https://ca.example/directory"
ACCOUNT: Final = "https://ca.example/account/1"
# With a part of a second, which must survive.
NOW: Final = datetime(2026, 3, 2, 12, 30, 15, 123_457, tzinfo=UTC)
ADDRESS: Final = Identifier(IdentifierType.IP, "2001:db8::7")
ATTEMPT: Final = Attempt("web", CA, (dns("a.example"), ADDRESS), b"certificate key", b"csr", account_url=ACCOUNT)
SCHEDULE: Final = Schedule(
    lineage="web",
    version="v1",
    identifiers=frozenset({dns("a.example"), ADDRESS}),
    not_before=NOW,
    not_after=NOW + timedelta(days=64),
    directory_url=CA,
    account_url=ACCOUNT,
    certificate_id="aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE",
    rule=Rule.ARI,
    renew_at=NOW + timedelta(days=40, microseconds=1),
    ask_at=NOW + timedelta(hours=6),
    window=Window(NOW + timedelta(days=39), NOW + timedelta(days=41)),
    explanation_url="https://ca.example/why",
    unanswered=2,
)
FAILURE: Final = Failure(
    lineage="web",
    count=3,
    stage="validate",
    message="the CA says no",
    retry=Retry.LATER,
    first_at=NOW - timedelta(days=1),
    last_at=NOW,
    next_try_at=NOW + timedelta(minutes=100),
    problem="urn:ietf:params:acme:error:caa",
)

_VERSION_1: Final = """
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
INSERT INTO attempts VALUES ('web', 'https://ca.example/directory', '[["dns", "a.example"], ["ip", "2001:db8::7"]]',
    CAST('certificate key' AS BLOB), CAST('csr' AS BLOB), 'https://ca.example/order/1', CAST('chain' AS BLOB));
INSERT INTO deliveries VALUES
    ('web', 'https://ca.example/directory', NULL, 'v1', 'served'),
    ('mail', 'https://ca.example/directory', 'v1', 'v2', 'reloaded'),
    ('shop', '', 'v1', 'v1', 'installed');
PRAGMA user_version = 1;
"""
_ADDED_BY_2: Final = """
CREATE TABLE vetoes (
    lineage TEXT PRIMARY KEY,
    asks_at TEXT NOT NULL
) STRICT;
INSERT INTO vetoes VALUES ('web', '2026-03-02T12:30:15.123457+00:00');
PRAGMA user_version = 2;
"""
# As the programs of those versions left it: the tables of theirs, with rows of all kinds.
OLD: Final = {1: _VERSION_1, 2: _VERSION_1 + _ADDED_BY_2}
OLD_ATTEMPT: Final = replace(ATTEMPT, account_url="", order_url="https://ca.example/order/1", chain_pem=b"chain")


def make_old(path: Path, version: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(f"PRAGMA journal_mode = WAL; {OLD[version]}")


def execute(path: Path, statement: str) -> Sequence[Any]:
    """What it gives, by a connection of its own."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def record_everything(state: State, lineage: str) -> None:
    """A row of the lineage in each table."""
    await state.journal.record_attempt(replace(ATTEMPT, lineage=lineage))
    await state.journal.record_flip(Flip(lineage, None, "v1"))
    await state.journal.record_attempt(replace(ATTEMPT, lineage=lineage))
    await state.journal.record_veto(lineage, NOW)
    await state.schedules.record_schedule(replace(SCHEDULE, lineage=lineage))
    await state.schedules.record_failure(replace(FAILURE, lineage=lineage))
    await state.ledger.record_uses([Use(CA, Spent.ORDER, Scope.ACCOUNT, ACCOUNT, NOW)])
    await state.ledger.record_block(Blocked(CA, lineage, NOW, "too many"))
    await state.notes.record_notice(lineage, Notice.FAILURE)
    await state.notes.record_rehearsal(Rehearsal(lineage, NOW, is_well=True, detail=""))
