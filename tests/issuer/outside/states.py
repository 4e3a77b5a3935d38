"""State files that tests inspect and fill, row by row."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tests.fakes_deliver import dns
from wellkeeper_issuer.model import Attempt, Order, Status
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.ports.fleet import EnrolledNode, NodeReport, OpenInvite
from wellkeeper_issuer.records import (
    Blocked,
    Check,
    Failure,
    FetchCount,
    Notice,
    Rehearsal,
    Rule,
    Schedule,
    Scope,
    Seen,
    Spent,
    Use,
    Window,
)
from wellkeeper_node.errors import Retry
from wellkeeper_node.model import Flip, Identifier, IdentifierType

CA: Final = "https://ca.example/directory"
ACCOUNT: Final = "https://ca.example/account/1"
# With microseconds, which must survive.
NOW: Final = datetime(2026, 3, 2, 12, 30, 15, 123_457, tzinfo=UTC)
ADDRESS: Final = Identifier(IdentifierType.IP, "2001:db8::7")
ATTEMPT: Final = Attempt("web", CA, (dns("a.example"), ADDRESS), b"certificate key", b"csr", account_url=ACCOUNT)
ORDER: Final = Order(f"{CA}/order/1", Status.PENDING, (f"{CA}/authz/1", f"{CA}/authz/2"), f"{CA}/finalize/1")
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
    held_until=NOW + timedelta(days=1),
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
    identifiers=frozenset({dns("a.example"), dns("b.example")}),
    refused=frozenset({dns("b.example")}),
    refused_since=NOW - timedelta(hours=20),
)


def execute(path: Path, statement: str) -> Sequence[Any]:
    """Return the rows of a statement run on a separate connection."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def record_everything(state: State, lineage: str) -> None:
    """Record a row of the lineage in each table."""
    await state.attempts.record_attempt(replace(ATTEMPT, lineage=lineage))
    await state.deliveries.record_flip(Flip(lineage, None, "v1"))
    await state.attempts.record_attempt(replace(ATTEMPT, lineage=lineage))
    await state.deliveries.record_check(Check(lineage, "v1", Seen.SERVED, NOW))
    await state.vetoes.record_vetoes(lineage, {"n1": NOW})
    await state.schedules.record_schedule(replace(SCHEDULE, lineage=lineage))
    await state.schedules.record_failure(replace(FAILURE, lineage=lineage))
    await state.ledger.record_uses([Use(CA, Spent.ORDER, Scope.ACCOUNT, ACCOUNT, NOW)])
    await state.ledger.record_block(Blocked(CA, lineage, NOW, "too many"))
    await state.fetch_counts.record_fetch_count(FetchCount(CA, 3, 2, 0.01))
    await state.fleet.record_node(EnrolledNode("web2", "s", "x", ("*",), answers=True, enrolled_at=NOW))
    await state.fleet.record_reports(NodeReport("web2", 1, NOW, "{}"))
    await state.fleet.record_invite(OpenInvite("id", "web3", b"s", "{}", ("*",), True, NOW, NOW))
    await state.notes.record_notice(lineage, Notice.FAILURE)
    await state.notes.record_rehearsal(Rehearsal(lineage, NOW, is_well=True, detail=""))
