"""In-memory fakes that fulfil the contracts of `wellkeeper_issuer.ports.state`."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from tests.fakes_fleet import FakeFleet
from wellkeeper_issuer.model import Attempt, Order, UnderWay
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
from wellkeeper_node.model import Flip, Published


class FakeSchedules:
    """Implements `ports.state.Schedules`."""

    def __init__(self) -> None:
        self.schedules: dict[str, Schedule] = {}
        self.failures: dict[str, Failure] = {}

    async def read_schedules(self, among: Collection[str] | None = None) -> Mapping[str, Schedule]:
        names = self.schedules if among is None else among
        return {name: self.schedules[name] for name in names if name in self.schedules}

    async def read_schedule(self, lineage: str) -> Schedule | None:
        return self.schedules.get(lineage)

    async def record_schedule(self, schedule: Schedule) -> None:
        self.schedules[schedule.lineage] = schedule

    async def read_failures(self) -> Mapping[str, Failure]:
        return dict(self.failures)

    async def read_failure(self, lineage: str) -> Failure | None:
        return self.failures.get(lineage)

    async def record_failure(self, failure: Failure) -> None:
        self.failures[failure.lineage] = failure

    async def forget_failure(self, lineage: str) -> None:
        self.failures.pop(lineage, None)


class FakeLedger:
    """Implements `ports.state.Ledger`; `uses` are in the order of booking."""

    def __init__(self) -> None:
        self._uses: dict[tuple[str, Spent, Scope, str], list[Use]] = defaultdict(list)
        self._blocks: dict[tuple[str, str], Blocked] = {}
        self.uses: list[Use] = []

    async def read_uses(
        self, directory_url: str, spent: Spent, scope: Scope, value: str, since: datetime
    ) -> Sequence[datetime]:
        uses = self._uses.get((directory_url, spent, scope, value), ())
        found = sorted(use.at for use in uses if use.at >= since and not use.is_exempt)
        await asyncio.sleep(0)  # a real answer may be outdated when it arrives
        return found

    async def record_uses(self, uses: Sequence[Use]) -> None:
        for use in uses:
            self._uses[use.directory_url, use.spent, use.scope, use.value].append(use)
        self.uses += uses

    async def read_values(self, directory_url: str, since: datetime) -> Sequence[tuple[Spent, Scope, str, int, int]]:
        counted: dict[tuple[Spent, Scope, str], list[bool]] = defaultdict(list)
        for use in self.uses:
            if use.directory_url == directory_url and use.at >= since:
                counted[use.spent, use.scope, use.value].append(use.is_exempt)
        return [(*key, exempt.count(False), exempt.count(True)) for key, exempt in sorted(counted.items())]

    async def forget_uses(self, before: datetime) -> None:
        self.uses = [use for use in self.uses if use.at >= before]
        for key, uses in self._uses.items():
            self._uses[key] = [use for use in uses if use.at >= before]

    async def read_blocks(self) -> Sequence[Blocked]:
        return [blocked for _, blocked in sorted(self._blocks.items())]

    async def record_block(self, blocked: Blocked) -> None:
        self._blocks[blocked.directory_url, blocked.lineage] = blocked


class FakeNotes:
    """Implements `ports.state.Notes`; `FakeDeliveries.record_flip` or the test adds owed hooks."""

    def __init__(self) -> None:
        self.owed_hooks: dict[str, str] = {}
        self.notices: dict[str, frozenset[Notice]] = {}
        self.rehearsals: dict[str, Rehearsal] = {}

    async def read_owed_hooks(self, among: Collection[str] | None = None) -> Mapping[str, str]:
        return {name: version for name, version in self.owed_hooks.items() if among is None or name in among}

    async def forget_owed_hook(self, lineage: str) -> None:
        self.owed_hooks.pop(lineage, None)

    async def read_notices(self, among: Collection[str] | None = None) -> Mapping[str, frozenset[Notice]]:
        return {name: notices for name, notices in self.notices.items() if among is None or name in among}

    async def record_notice(self, lineage: str, notice: Notice) -> None:
        self.notices[lineage] = self.notices.get(lineage, frozenset()) | {notice}

    async def forget_notices(self, lineage: str) -> None:
        self.notices.pop(lineage, None)

    async def read_rehearsals(self) -> Mapping[str, Rehearsal]:
        return dict(self.rehearsals)

    async def record_rehearsal(self, rehearsal: Rehearsal) -> None:
        self.rehearsals[rehearsal.lineage] = rehearsal


class FakeFetchCounts:
    """Implements `ports.state.FetchCounts`."""

    def __init__(self) -> None:
        self.counts: dict[str, FetchCount] = {}

    async def read_fetch_count(self, directory_url: str) -> FetchCount | None:
        return self.counts.get(directory_url)

    async def record_fetch_count(self, fetch_count: FetchCount) -> None:
        await asyncio.sleep(0)  # another validation may read meanwhile
        self.counts[fetch_count.directory_url] = fetch_count


class FakeAttempts:
    """Implements `ports.state.AllAttempts`."""

    def __init__(self) -> None:
        self.attempts: dict[str, Attempt] = {}

    async def under_way(self) -> Mapping[str, UnderWay]:
        return {name: attempt.under_way for name, attempt in self.attempts.items()}

    async def read_attempt(self, lineage: str) -> Attempt | None:
        return self.attempts.get(lineage)

    async def record_attempt(self, attempt: Attempt) -> None:
        self.attempts[attempt.lineage] = attempt

    async def forget_attempt(self, lineage: str) -> None:
        self.attempts.pop(lineage, None)

    async def record_order(self, lineage: str, placed: Order) -> None:
        if lineage in self.attempts:
            self.attempts[lineage] = self.attempts[lineage].with_order(placed)

    async def record_chain(self, lineage: str, chain_pem: bytes) -> None:
        if lineage in self.attempts:
            self.attempts[lineage] = replace(self.attempts[lineage], chain_pem=chain_pem)


class FakeVetoes:
    """Implements `ports.state.VetoRecords`."""

    def __init__(self) -> None:
        self.vetoes: dict[str, dict[str, datetime]] = {}

    async def read_vetoes(self, lineage: str) -> Mapping[str, datetime]:
        return dict(self.vetoes.get(lineage, {}))

    async def record_vetoes(self, lineage: str, asks_at: Mapping[str, datetime]) -> None:
        self.vetoes[lineage] = dict(asks_at)

    async def forget_vetoes(self, lineage: str) -> None:
        self.vetoes.pop(lineage, None)


class FakePublications:
    """Implements `wellkeeper_node.ports.PublicationRecords`."""

    def __init__(self, attempts: FakeAttempts) -> None:
        self._attempts = attempts
        self._rows: dict[str, Published] = {}

    async def record_publications(self, published: Sequence[Published], now: int) -> None:
        self._rows = {jti: one for jti, one in self._rows.items() if one.expires_at > now}
        self._rows |= {one.jti: one for one in published}

    async def forget_publications(self, published: Sequence[Published]) -> None:
        for one in published:
            self._rows.pop(one.jti, None)

    async def read_publications(self, lineage: str) -> Sequence[Published]:
        others = self._under_way() - {lineage}
        return [one for one in self._rows.values() if lineage in one.lineages and not one.lineages & others]

    async def read_unneeded(self) -> Sequence[Published]:
        return [one for one in self._rows.values() if not one.lineages & self._under_way()]

    def _under_way(self) -> set[str]:
        return {
            name for name, one in self._attempts.attempts.items() if one.order_url is not None and one.chain_pem is None
        }


class FakeDeliveries:
    """Implements `ports.state.DeliveryRecords`; a flip ends an attempt and a veto, and adds an owed hook."""

    def __init__(self, attempts: FakeAttempts, vetoes: FakeVetoes, notes: FakeNotes) -> None:
        self._attempts = attempts
        self._vetoes = vetoes
        self._notes = notes
        self.origins: dict[str, Origin] = {}
        self.flips: dict[str, Flip] = {}
        self.states: dict[str, str] = {}
        self.seen: dict[str, Check] = {}

    async def record_flip(self, flip: Flip) -> None:
        attempt = self._attempts.attempts.pop(flip.lineage)
        self._vetoes.vetoes.pop(flip.lineage, None)
        self._notes.owed_hooks[flip.lineage] = flip.after
        self.origins[flip.lineage] = Origin(attempt.directory_url, attempt.account_url)
        self.flips[flip.lineage], self.states[flip.lineage] = flip, "installed"

    async def record_found(self, flip: Flip) -> None:
        known = self.flips.get(flip.lineage)
        if known is None or known.after != flip.after:
            self.origins.pop(flip.lineage, None)
        self.flips[flip.lineage], self.states[flip.lineage] = flip, "installed"

    async def read_origin(self, lineage: str) -> Origin | None:
        return self.origins.get(lineage)

    async def installed(self, among: Collection[str] | None = None) -> frozenset[str]:
        return frozenset(self.states if among is None else self.states.keys() & set(among))

    async def undelivered(self, among: Collection[str] | None = None) -> dict[str, Flip]:
        return {name: self.flips[name] for name in await self.installed(among) if self.states[name] == "installed"}

    async def unserved(self, among: Collection[str] | None = None) -> frozenset[str]:
        return frozenset(name for name in await self.installed(among) if self.states[name] == "reloaded")

    async def record_reloaded(self, lineages: Sequence[str]) -> None:
        self.states.update(dict.fromkeys(self.states.keys() & set(lineages), "reloaded"))

    async def record_returned(self, flip: Flip) -> None:
        if flip.lineage in self.states:
            self.flips[flip.lineage], self.states[flip.lineage] = flip, "installed"

    async def checks(self, among: Collection[str] | None = None) -> dict[str, Check]:
        return {name: one for name, one in self.seen.items() if among is None or name in among}

    async def record_check(self, check: Check) -> None:
        self.seen[check.lineage] = check

    async def record_served(self, lineage: str) -> None:
        if lineage in self.states:
            self.states[lineage] = "served"


@dataclass(frozen=True, slots=True)
class FakeState:
    """Implements `ports.state.StateRecords`."""

    attempts: FakeAttempts = field(default_factory=FakeAttempts)
    vetoes: FakeVetoes = field(default_factory=FakeVetoes)
    schedules: FakeSchedules = field(default_factory=FakeSchedules)
    ledger: FakeLedger = field(default_factory=FakeLedger)
    fetch_counts: FakeFetchCounts = field(default_factory=FakeFetchCounts)
    fleet: FakeFleet = field(default_factory=FakeFleet)
    notes: FakeNotes = field(default_factory=FakeNotes)
    deliveries: FakeDeliveries = field(init=False)
    publications: FakePublications = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "deliveries", FakeDeliveries(self.attempts, self.vetoes, self.notes))
        object.__setattr__(self, "publications", FakePublications(self.attempts))

    async def read_lineage(self, lineage: str) -> LineageRecord:
        notices = await self.notes.read_notices([lineage])
        return LineageRecord(
            attempt=await self.attempts.read_attempt(lineage),
            origin=await self.deliveries.read_origin(lineage),
            flip=self.deliveries.flips.get(lineage),
            check=self.deliveries.seen.get(lineage),
            undelivered=(await self.deliveries.undelivered([lineage])).get(lineage),
            is_installed=lineage in await self.deliveries.installed([lineage]),
            is_unserved=lineage in await self.deliveries.unserved([lineage]),
            owed_hook=(await self.notes.read_owed_hooks([lineage])).get(lineage),
            schedule=await self.schedules.read_schedule(lineage),
            failure=await self.schedules.read_failure(lineage),
            notices=notices.get(lineage, frozenset()),
        )
