"""What stages are handed of the state on disk: the Protocols of `outside.state.database` and its neighbours.

A call returns when its row is durable (but for `read_…`). All raise JournalError.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from wellkeeper_issuer.model import Attempt, Flip
from wellkeeper_issuer.records import Blocked, Failure, Notice, Origin, Rehearsal, Schedule, Scope, Spent, Use


class Attempts(Protocol):
    """Renewals under way, until they are installed."""

    async def read_attempt(self, lineage: str) -> Attempt | None: ...

    async def record_attempt(self, attempt: Attempt) -> None:
        """Replaces what was there for the lineage."""
        ...

    async def forget_attempt(self, lineage: str) -> None:
        """Idempotent; what leads nowhere must not be resumed."""
        ...

    async def record_order(self, lineage: str, order_url: str) -> None:
        """Add to the attempt; nothing happens without one."""
        ...

    async def record_chain(self, lineage: str, chain_pem: bytes) -> None:
        """Add to the attempt; nothing happens without one."""
        ...

    async def under_way(self) -> Mapping[str, bool]:
        """Return the lineages of all attempts, and whether the CA's chain is recorded already."""
        ...


class VetoRecords(Protocol):
    """Read-backs that fail, and when the CA is asked in spite of that."""

    async def read_veto(self, lineage: str) -> datetime | None:
        """Return when the CA is asked though the read-back fails; None when it did not fail."""
        ...

    async def record_veto(self, lineage: str, asks_at: datetime) -> None:
        """Replace the veto of the lineage."""
        ...

    async def forget_veto(self, lineage: str) -> None:
        """Idempotent."""
        ...


class DeliveryRecords(Protocol):
    """Installed versions on one node: on their way to its nginx, or served."""

    async def record_flip(self, flip: Flip) -> None:
        """Turn the attempt of the lineage into a delivery to prove, and owe a deploy hook for the version.

        There has to be an attempt. In the same transaction, it is forgotten, with its key and chain, and so is a veto.
        """
        ...

    async def record_found(self, flip: Flip) -> None:
        """Record a delivery to prove, of a version by an unknown CA: it is installed, but the state was lost."""
        ...

    async def read_origin(self, lineage: str) -> Origin | None:
        """Return who issued what is installed; None when no record says so."""
        ...

    async def installed(self, among: Collection[str] | None = None) -> frozenset[str]:
        """Return the lineages, of all or of these, of which an installed version is recorded."""
        ...

    async def undelivered(self, among: Collection[str] | None = None) -> dict[str, Flip]:
        """Return by lineage, of all or of these, what is in place (or was rolled back) and nginx may not have read."""
        ...

    async def unserved(self, among: Collection[str] | None = None) -> frozenset[str]:
        """Return the lineages, of all or of these, that nginx has read, but was not proven to serve."""
        ...

    async def record_reloaded(self, lineages: Sequence[str]) -> None:
        """Idempotent; lineages without a delivery stay without one."""
        ...

    async def record_served(self, lineage: str) -> None:
        """Idempotent; a lineage without a delivery stays without one."""
        ...


class Schedules(Protocol):
    """When certificates are renewed, and what keeps them from it."""

    async def read_schedules(self, among: Collection[str] | None = None) -> Mapping[str, Schedule]:
        """By lineage; of all, or of these."""
        ...

    async def read_schedule(self, lineage: str) -> Schedule | None: ...

    async def record_schedule(self, schedule: Schedule) -> None:
        """Replaces what was there for the lineage."""
        ...

    async def read_failures(self) -> Mapping[str, Failure]:
        """By lineage."""
        ...

    async def read_failure(self, lineage: str) -> Failure | None: ...

    async def record_failure(self, failure: Failure) -> None:
        """Replaces what was there for the lineage."""
        ...

    async def forget_failure(self, lineage: str) -> None:
        """Idempotent."""
        ...


class Ledger(Protocol):
    """What CAs were asked for, as their limits count it."""

    async def read_uses(
        self, directory_url: str, spent: Spent, scope: Scope, value: str, since: datetime
    ) -> Sequence[datetime]:
        """When, in order; without what is exempt."""
        ...

    async def record_uses(self, uses: Sequence[Use]) -> None:
        """All or none."""
        ...

    async def read_values(self, directory_url: str, since: datetime) -> Sequence[tuple[Spent, Scope, str, int, int]]:
        """Return what was used since then, sorted: spent, scope, value, how many counted, how many were exempt."""
        ...

    async def forget_uses(self, before: datetime) -> None: ...

    async def read_blocks(self) -> Sequence[Blocked]:
        """Return all blocks, ordered by CA and lineage; those that are over, too, until they are replaced."""
        ...

    async def record_block(self, blocked: Blocked) -> None:
        """Replaces what was there for the same CA and lineage."""
        ...


class Notes(Protocol):
    """Hooks that are owed, what the administrator was told, and rehearsals."""

    async def read_owed_hooks(self, among: Collection[str] | None = None) -> Mapping[str, str]:
        """By lineage, of all or of these: the version whose deploy hook did not succeed yet."""
        ...

    async def forget_owed_hook(self, lineage: str) -> None:
        """Idempotent."""
        ...

    async def read_notices(self, among: Collection[str] | None = None) -> Mapping[str, frozenset[Notice]]:
        """By lineage, of all or of these: what the administrator was told and did not become untrue since."""
        ...

    async def record_notice(self, lineage: str, notice: Notice) -> None: ...

    async def forget_notices(self, lineage: str) -> None:
        """Idempotent."""
        ...

    async def read_rehearsals(self) -> Mapping[str, Rehearsal]:
        """By lineage, the last one each."""
        ...

    async def record_rehearsal(self, rehearsal: Rehearsal) -> None: ...


class StateRecords(Protocol):
    """All records, for those who look at everything."""

    @property
    def attempts(self) -> Attempts: ...

    @property
    def vetoes(self) -> VetoRecords: ...

    @property
    def deliveries(self) -> DeliveryRecords: ...

    @property
    def schedules(self) -> Schedules: ...

    @property
    def ledger(self) -> Ledger: ...

    @property
    def notes(self) -> Notes: ...
