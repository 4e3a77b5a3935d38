"""Open all records of the issuer at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.state.attempts import SqliteAttempts
from wellkeeper_issuer.outside.state.database import Database
from wellkeeper_issuer.outside.state.deliveries import SqliteDeliveries
from wellkeeper_issuer.outside.state.fetch_counts import SqliteFetchCounts
from wellkeeper_issuer.outside.state.fleet import SqliteFleet
from wellkeeper_issuer.outside.state.ledger import SqliteLedger
from wellkeeper_issuer.outside.state.notes import SqliteNotes
from wellkeeper_issuer.outside.state.outbox import SqliteOutbox
from wellkeeper_issuer.outside.state.publications import SqlitePublications
from wellkeeper_issuer.outside.state.schedules import SqliteSchedules
from wellkeeper_issuer.outside.state.schema import FORGET_LINEAGE
from wellkeeper_issuer.outside.state.vetoes import SqliteVetoes
from wellkeeper_issuer.records import LineageRecord

# The file in state_dir.
JOURNAL: Final = "state.db"


def has_state(state_dir: Path) -> bool:
    """Return whether anything was ever recorded; raises SettingsError when it cannot be read."""
    path = state_dir / JOURNAL
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SettingsError(
            f"cannot read {path}", error.strerror or str(error), "Run the command with sudo, or as the issuer's user."
        ) from error
    return True


@dataclass(frozen=True, slots=True)
class State:
    """Implements `ports.state.StateRecords`; closed when `open_state` ends."""

    attempts: SqliteAttempts
    vetoes: SqliteVetoes
    deliveries: SqliteDeliveries
    schedules: SqliteSchedules
    ledger: SqliteLedger
    fetch_counts: SqliteFetchCounts
    notes: SqliteNotes
    fleet: SqliteFleet
    publications: SqlitePublications
    outbox: SqliteOutbox
    _database: Database = field(repr=False)

    async def read_lineage(self, lineage: str) -> LineageRecord:
        delivery = self.deliveries.read_delivery(lineage)
        owed = await self.notes.read_owed_hooks([lineage])
        notices = await self.notes.read_notices([lineage])
        return LineageRecord(
            attempt=await self.attempts.read_attempt(lineage),
            origin=delivery.origin if delivery else None,
            flip=delivery.flip if delivery else None,
            check=(await self.deliveries.checks([lineage])).get(lineage),
            undelivered=delivery.flip if delivery and delivery.state == "installed" else None,
            is_installed=delivery is not None,
            is_unserved=delivery is not None and delivery.state == "reloaded",
            owed_hook=owed.get(lineage),
            schedule=await self.schedules.read_schedule(lineage),
            failure=await self.schedules.read_failure(lineage),
            notices=notices.get(lineage, frozenset()),
        )

    async def forget_lineage(self, lineage: str) -> None:
        """Delete all its rows in one transaction, except what CAs count. Idempotent; raises JournalError."""
        await self._database.write(*((statement, (lineage,)) for statement in FORGET_LINEAGE))


@asynccontextmanager
async def open_state(path: Path, *, may_write: bool) -> AsyncIterator[State]:
    """Open the file `state.db`. To write, own the state first (`lock.LocalOwnership`); readers never wait.

    Raises JournalError.
    """
    async with Database(path, may_write=may_write) as database:
        yield State(
            attempts=SqliteAttempts(database),
            vetoes=SqliteVetoes(database),
            deliveries=SqliteDeliveries(database),
            schedules=SqliteSchedules(database),
            ledger=SqliteLedger(database),
            fetch_counts=SqliteFetchCounts(database),
            notes=SqliteNotes(database),
            fleet=SqliteFleet(database),
            publications=SqlitePublications(database),
            outbox=SqliteOutbox(database),
            _database=database,
        )
