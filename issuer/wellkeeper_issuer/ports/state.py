"""The Protocols of the state on disk, which `outside.state` implements.

A call that writes returns when its row is durable. All raise JournalError.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from wellkeeper_issuer.model import Attempt, Order, UnderWay
from wellkeeper_issuer.ports.fleet import FleetRecords
from wellkeeper_issuer.records import (
    Blocked,
    Check,
    Failure,
    FetchCount,
    LineageRecord,
    Notice,
    Origin,
    Rehearsal,
    Schedule,
    Scope,
    Spent,
    Use,
)
from wellkeeper_node.model import Flip


class Held(Protocol):
    """The state, owned until the context of `Ownership.hold` ends or the ownership is lost."""

    @property
    def lost(self) -> asyncio.Event:
        """Set by the `extend` that detects the loss; never cleared."""
        ...

    async def extend(self, until: datetime | None = None) -> None:
        """Verify that we own the state, and keep it until then at least, or for the usual time. Idempotent.

        Raises JournalError when it is lost, in every later call, too.
        """
        ...


class Ownership(Protocol):
    """The right to write the state: one process at a time."""

    def hold(self, command: str) -> AbstractAsyncContextManager[Held]:
        """Own the state in a context. Never waits: raises JournalError naming the owner when there is one.

        A refused process sees `command` in its error. When the context ends, or the process dies, the state is free.
        """
        ...


class Attempts(Protocol):
    """Renewals under way, until they are installed."""

    async def read_attempt(self, lineage: str) -> Attempt | None: ...

    async def record_attempt(self, attempt: Attempt) -> None:
        """Replace what is recorded for the lineage."""
        ...

    async def forget_attempt(self, lineage: str) -> None:
        """Keep an attempt that cannot succeed from being resumed. Idempotent."""
        ...

    async def record_order(self, lineage: str, placed: Order) -> None:
        """Add the URLs to the attempt; nothing happens without one."""
        ...

    async def record_chain(self, lineage: str, chain_pem: bytes) -> None:
        """Add to the attempt; nothing happens without one."""
        ...


class AllAttempts(Attempts, Protocol):
    """Renewals under way, of all lineages."""

    async def under_way(self) -> Mapping[str, UnderWay]:
        """Return all attempts by lineage, without their secrets."""
        ...


class VetoRecords(Protocol):
    """Failed read-backs, and when the CA is contacted anyway."""

    async def read_vetoes(self, lineage: str) -> Mapping[str, datetime]:
        """Return by node when it no longer keeps the CA from being asked; empty when no read-back failed."""
        ...

    async def record_vetoes(self, lineage: str, asks_at: Mapping[str, datetime]) -> None:
        """Replace all vetoes of the lineage."""
        ...

    async def forget_vetoes(self, lineage: str) -> None:
        """Idempotent."""
        ...


class DeliveryRecords(Protocol):
    """Installed versions on one node: not loaded yet, loaded, or served."""

    async def record_flip(self, flip: Flip) -> None:
        """Turn the attempt of the lineage into a delivery to prove, and owe a deploy hook for the version.

        Requires an attempt. The same transaction deletes it, with its key and chain, and the veto.
        """
        ...

    async def record_found(self, flip: Flip) -> None:
        """Record a delivery to prove, of a version that was found installed.

        Its CA is the recorded one if this is the recorded version, and unknown otherwise.
        """
        ...

    async def read_origin(self, lineage: str) -> Origin | None:
        """Return the issuer of the installed version; None when it is unknown."""
        ...

    async def installed(self, among: Collection[str] | None = None) -> frozenset[str]:
        """Return the lineages, of all or of these, with a recorded installed version."""
        ...

    async def undelivered(self, among: Collection[str] | None = None) -> dict[str, Flip]:
        """Return by lineage, of all or of these, versions installed (or rolled back) that nginx may not have loaded."""
        ...

    async def unserved(self, among: Collection[str] | None = None) -> frozenset[str]:
        """Return the lineages, of all or of these, that nginx has loaded, but is not verified to serve."""
        ...

    async def record_reloaded(self, lineages: Sequence[str]) -> None:
        """Idempotent; lineages without a delivery stay without one."""
        ...

    async def record_served(self, lineage: str) -> None:
        """Idempotent; a lineage without a delivery stays without one."""
        ...

    async def record_returned(self, flip: Flip) -> None:
        """Record that the version before is live again, as nginx refuses handshakes with the one after.

        Idempotent; a lineage without a delivery stays without one.
        """
        ...

    async def checks(self, among: Collection[str] | None = None) -> Mapping[str, Check]:
        """Return by lineage, of all or of these, the last look at what nginx serves."""
        ...

    async def record_check(self, check: Check) -> None:
        """Replace what is recorded for the lineage."""
        ...


class Schedules(Protocol):
    """Times of renewal, and the failures that delay them."""

    async def read_schedules(self, among: Collection[str] | None = None) -> Mapping[str, Schedule]:
        """Return by lineage, of all or of these."""
        ...

    async def read_schedule(self, lineage: str) -> Schedule | None: ...

    async def record_schedule(self, schedule: Schedule) -> None:
        """Replace what is recorded for the lineage."""
        ...

    async def read_failures(self) -> Mapping[str, Failure]:
        """Return all, by lineage."""
        ...

    async def read_failure(self, lineage: str) -> Failure | None: ...

    async def record_failure(self, failure: Failure) -> None:
        """Replace what is recorded for the lineage."""
        ...

    async def forget_failure(self, lineage: str) -> None:
        """Idempotent."""
        ...


class Ledger(Protocol):
    """Requests to CAs, as their limits count them."""

    async def read_uses(
        self, directory_url: str, spent: Spent, scope: Scope, value: str, since: datetime
    ) -> Sequence[datetime]:
        """Return the times in order, without exempt uses."""
        ...

    async def record_uses(self, uses: Sequence[Use]) -> None:
        """Record all or none."""
        ...

    async def read_values(self, directory_url: str, since: datetime) -> Sequence[tuple[Spent, Scope, str, int, int]]:
        """Return the uses since then, sorted: spent, scope, value, count of counted, count of exempt."""
        ...

    async def forget_uses(self, before: datetime) -> None: ...

    async def read_blocks(self) -> Sequence[Blocked]:
        """Return all blocks, ordered by CA and lineage; also those that are over, until they are replaced."""
        ...

    async def record_block(self, blocked: Blocked) -> None:
        """Replace what is recorded for the same CA and lineage."""
        ...


class FetchCounts(Protocol):
    """The number of fetches of a token that precede the verdicts of each CA."""

    async def read_fetch_count(self, directory_url: str) -> FetchCount | None:
        """Return None also when the row makes no sense: it only saves time."""
        ...

    async def record_fetch_count(self, fetch_count: FetchCount) -> None:
        """Replace what is recorded for the CA."""
        ...


class Notes(Protocol):
    """Deploy hooks that are owed, notices sent to the administrator, and rehearsals."""

    async def read_owed_hooks(self, among: Collection[str] | None = None) -> Mapping[str, str]:
        """Return by lineage, of all or of these, the version whose deploy hook did not succeed yet."""
        ...

    async def forget_owed_hook(self, lineage: str) -> None:
        """Idempotent."""
        ...

    async def read_notices(self, among: Collection[str] | None = None) -> Mapping[str, frozenset[Notice]]:
        """Return by lineage, of all or of these, the notices sent since the last recovery."""
        ...

    async def record_notice(self, lineage: str, notice: Notice) -> None: ...

    async def forget_notices(self, lineage: str) -> None:
        """Idempotent."""
        ...

    async def read_rehearsals(self) -> Mapping[str, Rehearsal]:
        """Return the last rehearsal of each lineage."""
        ...

    async def record_rehearsal(self, rehearsal: Rehearsal) -> None: ...


class LineageRecords(Protocol):
    """All records about one certificate at once."""

    async def read_lineage(self, lineage: str) -> LineageRecord:
        """Return what is recorded about the lineage; an empty record when nothing is."""
        ...


class StateRecords(LineageRecords, Protocol):
    """All records."""

    @property
    def attempts(self) -> AllAttempts: ...

    @property
    def vetoes(self) -> VetoRecords: ...

    @property
    def deliveries(self) -> DeliveryRecords: ...

    @property
    def schedules(self) -> Schedules: ...

    @property
    def ledger(self) -> Ledger: ...

    @property
    def fetch_counts(self) -> FetchCounts: ...

    @property
    def notes(self) -> Notes: ...

    @property
    def fleet(self) -> FleetRecords: ...
