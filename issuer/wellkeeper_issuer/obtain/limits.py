"""Count what each CA was asked for, and compare it with the CA's limits before the next order.

A window slides: never more than `count` in any `seconds`, which satisfies a token bucket of that size, too. The last
use is held in reserve for an urgent or forced renewal.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.errors import ChallengeError, DeferredError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.blocks import Blocks
from wellkeeper_issuer.ports.state import Ledger
from wellkeeper_issuer.records import Blocked, Budget, Limit, Scope, Spent, Use
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.model import Identifier
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import counted, format_time

# A claim on a certificate ends with its order; one that was never released ends after the longest life of an attempt.
_CLAIM_SECONDS: Final = 3600.0
_LONGEST_DEFERRAL: Final = timedelta(hours=6)
_SHORTEST_MEMORY: Final = timedelta(days=1)
# An exact set may have a hundred names.
_SHOWN: Final = 100
_UNITS: Final = (("day", 86_400.0), ("hour", 3600.0), ("minute", 60.0))


@dataclass(frozen=True, slots=True)
class _Claim:
    """An order in progress, and how its certificate will count."""

    lineage: Lineage
    is_renewal: bool
    is_exempt: bool
    since: float = 0.0

    def is_exempt_from(self, limit: Limit) -> bool:
        return self.is_exempt or (self.is_renewal and limit.exempts_renewals)


@dataclass(frozen=True, slots=True)
class _Refusal:
    limit: Limit
    value: str
    used: int
    free_at: datetime

    def __str__(self) -> str:
        limit = self.limit
        about = f" ({self.value:.{_SHOWN}})" if self.value else ""
        allowed = f"the CA allows {limit.count} {limit.spent}s per {limit.scope}{about} in {_span(limit.seconds)}"
        free = f"the next one is free at {format_time(self.free_at)}"
        if self.used >= limit.count:
            return f"{allowed}, and all are used; {free}"
        return f"{allowed}, {self.used} used, the last one is held in reserve; {free}"

    @property
    def remedy(self) -> str:
        """Return how to use the reserve, if there is one."""
        return "" if self.used >= self.limit.count else "Run 'wellkeeper renew NAME --force' to use the last one now."


@dataclass(frozen=True, slots=True)
class Cost:
    """The uses of a limit that some orders need, for one value of its scope; `used` without them.

    `free_at` is when the first of the used ones counts no longer.
    """

    limit: Limit
    value: str
    used: int
    needed: int
    free_at: datetime | None

    def __str__(self) -> str:
        limit = self.limit
        about = f" ({self.value:.{_SHOWN}})" if self.value else ""
        words = f"{limit.count} {limit.spent}s per {limit.scope}{about} in {_span(limit.seconds)}"
        if self.used + self.needed <= limit.count:
            return f"{words}: {self.used} used, this takes {self.needed}"
        free = f", the first until {format_time(self.free_at)}" if self.free_at else ""
        return f"{words}: {self.used} used{free}; this takes {self.needed}, so not all of them come at once"


class Limits:
    """Counts for all CAs. Use one object per process: concurrent renewals must not all take the same last use.

    `registered_domain` returns the registered part of a DNS name or an address (the public suffix list). A CA's limits
    are passed with each call; without limits, nothing is recorded.
    """

    def __init__(self, ledger: Ledger, clock: Clock, registered_domain: Callable[[str], str]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._registered_domain = registered_domain
        self._blocks = Blocks(ledger, clock)
        self._lock = asyncio.Lock()
        self._claims: dict[tuple[str, str], _Claim] = {}

    async def blocked(self, directory_url: str, lineage: str) -> Blocked | None:
        """Return the block that keeps the CA from being asked, or None. It is quick: call it before anything else."""
        return await self._blocks.find(directory_url, lineage)

    async def reserve(  # noqa: PLR0913 - an order, and three things to know about it
        self,
        directory_url: str,
        limits: Sequence[Limit],
        lineage: Lineage,
        *,
        is_renewal: bool = False,
        is_exempt: bool = False,
        may_use_last: bool = False,
        turning_points: Sequence[datetime] = (),
    ) -> None:
        """Record the order, and claim its certificate until that is recorded or the order failed.

        An order that has to wait is checked again after hours (settings and names change) and at `turning_points`.

        `is_renewal`: the same exact set had a certificate before; `is_exempt`: it replaces one inside its suggested
        window (RFC 9773 section 5), and the CA exempts it. Raises DeferredError with its time in `retry_at`.
        """
        claim = _Claim(lineage, is_renewal, is_exempt, self._clock.monotonic())
        async with self._lock:
            refusals = await self._refusals(directory_url, limits, claim, may_use_last)
            if refusals:
                latest = max(refusals, key=lambda one: one.free_at)
                what = f"an order for {lineage.name} has to wait"
                now = self._clock.now()
                until = min([latest.free_at, now + _LONGEST_DEFERRAL, *(at for at in turning_points if at > now)])
                await self._blocks.defer(Blocked(directory_url, lineage.name, until, f"{what}: {latest}"))
                raise DeferredError(what, str(latest), latest.remedy, retry_at=until)
            await self._ledger.record_uses(list(self._uses(directory_url, limits, claim, Spent.ORDER)))
            self._claims[directory_url, lineage.name] = claim

    async def book_certificate(self, directory_url: str, limits: Sequence[Limit], lineage: Lineage) -> None:
        """Record an issued certificate. One without a claim (its order was resumed after a restart) counts in full."""
        async with self._lock:
            claim = self._claims.pop((directory_url, lineage.name), None) or _Claim(lineage, False, False)
            await self._ledger.record_uses(list(self._uses(directory_url, limits, claim, Spent.CERTIFICATE)))
        await self._blocks.answered(directory_url)

    async def count_issued(self, directory_url: str, limits: Sequence[Limit], lineage: Lineage, at: datetime) -> None:
        """Record a certificate that another issuer got at this time, and its order. Idempotent."""
        claim = _Claim(lineage, is_renewal=False, is_exempt=False)
        spent = Spent.ORDER, Spent.CERTIFICATE
        uses = [replace(use, at=at) for one in spent for use in self._uses(directory_url, limits, claim, one)]
        async with self._lock:
            new = [use for use in uses if at not in await self._read(use)]
            await self._ledger.record_uses(new)

    async def learn(self, directory_url: str, limits: Sequence[Limit], lineage: str, error: WellkeeperError) -> None:
        """Record a failed order: the validations that failed, and until when the CA must not be asked."""
        if isinstance(error, ChallengeError):
            await self.book_failed_validation(directory_url, limits, error.identifiers)
        self._claims.pop((directory_url, lineage), None)
        await self._blocks.learn(directory_url, lineage, error)

    async def book_failed_validation(
        self, directory_url: str, limits: Sequence[Limit], identifiers: Sequence[Identifier]
    ) -> None:
        """Record that these failed validation. A failed validation does not count for an exact set of names."""
        now = self._clock.now()
        scopes = {limit.scope for limit in limits if limit.spent is Spent.FAILED_VALIDATION} - {Scope.EXACT_SET}
        async with self._lock:
            await self._ledger.record_uses(
                [
                    Use(directory_url, Spent.FAILED_VALIDATION, scope, value, now)
                    for identifier in identifiers
                    for scope in sorted(scopes)
                    for value in self._values(scope, (identifier,))
                ]
            )

    async def budgets(self, directory_url: str, limits: Sequence[Limit], at_most: int = 50) -> list[Budget]:
        """Return what was used within the windows, the least left first, cut off after `at_most`."""
        now = self._clock.now()
        used = [
            Budget(limit, value, count, None)
            for limit in limits
            for spent, scope, value, count, _ in await self._ledger.read_values(directory_url, _start(limit, now))
            if (spent, scope) == (limit.spent, limit.scope) and count
        ]
        used.sort(key=lambda one: (one.left / one.limit.count, one.limit.spent, one.value))
        found = []
        for budget in used[:at_most]:
            limit = budget.limit
            if times := await self._times(directory_url, limit, budget.value, now):
                free_at = times[0] + timedelta(seconds=limit.seconds)
                found.append(Budget(limit, budget.value, len(times), free_at))
        return found

    async def costs(self, directory_url: str, limits: Sequence[Limit], lineages: Mapping[Lineage, bool]) -> list[Cost]:
        """Return what certificates for these would use, the least left first; true is a renewal, with the same names.

        Failed validations are not foreseen.
        """
        now, found = self._clock.now(), []
        claims = [_Claim(lineage, is_renewal, is_exempt=False) for lineage, is_renewal in lineages.items()]
        for limit in limits:
            if limit.spent is Spent.FAILED_VALIDATION:
                continue
            counts = [one for one in claims if not one.is_exempt_from(limit)]
            values = Counter(value for one in counts for value in self._values(limit.scope, one.lineage.identifiers))
            for value, needed in values.items():
                times = await self._times(directory_url, limit, value, now)
                free_at = times[0] + timedelta(seconds=limit.seconds) if times else None
                found.append(Cost(limit, value, len(times), needed, free_at))
        return sorted(found, key=lambda one: (one.limit.count - one.used - one.needed, one.value))

    async def tidy(self, limits: Sequence[Limit]) -> None:
        """Forget uses older than twice the longest window; `limits` are those of all CAs."""
        longest = max((timedelta(seconds=limit.seconds) for limit in limits), default=_SHORTEST_MEMORY)
        await self._ledger.forget_uses(self._clock.now() - 2 * max(longest, _SHORTEST_MEMORY))

    async def _refusals(
        self, directory_url: str, limits: Sequence[Limit], claim: _Claim, may_use_last: bool
    ) -> list[_Refusal]:
        now, found = self._clock.now(), []
        for limit in limits:
            if claim.is_exempt_from(limit):
                continue
            # A limit of one cannot have a reserve.
            usable = limit.count if may_use_last or limit.count == 1 else limit.count - 1
            for value in self._values(limit.scope, claim.lineage.identifiers):
                times = await self._times(directory_url, limit, value, now)
                times += [now] * self._claimed(directory_url, limit, value, claim.lineage.name)
                if len(times) >= usable:
                    free_at = times[len(times) - usable] + timedelta(seconds=limit.seconds)
                    found.append(_Refusal(limit, value, len(times), free_at))
        return found

    async def _times(self, directory_url: str, limit: Limit, value: str, now: datetime) -> list[datetime]:
        """Return the uses within the window. A near future time (the clock was set back) counts as now.

        Nothing is blocked for longer than twice the window.
        """
        start, end = _start(limit, now), now + timedelta(seconds=limit.seconds)
        found = await self._ledger.read_uses(directory_url, limit.spent, limit.scope, value, start)
        return [min(at, now) for at in found if start < at < end]

    async def _read(self, use: Use) -> Sequence[datetime]:
        """Return the times from this use on."""
        return await self._ledger.read_uses(use.directory_url, use.spent, use.scope, use.value, use.at)

    def _claimed(self, directory_url: str, limit: Limit, value: str, except_for: str) -> int:
        """Return how many certificates the orders in progress will become; orders are recorded already."""
        if limit.spent is not Spent.CERTIFICATE:
            return 0
        oldest = self._clock.monotonic() - _CLAIM_SECONDS
        return sum(
            value in self._values(limit.scope, claim.lineage.identifiers)
            for (url, name), claim in self._claims.items()
            if url == directory_url and name != except_for
            if claim.since > oldest and not claim.is_exempt_from(limit)
        )

    def _uses(self, directory_url: str, limits: Sequence[Limit], claim: _Claim, spent: Spent) -> Iterator[Use]:
        """Yield one row per scope and value; where two limits of one scope disagree on an exemption, it counts."""
        now = self._clock.now()
        counted = [limit for limit in limits if limit.spent is spent]
        for scope in sorted({limit.scope for limit in counted}):
            is_exempt = all(claim.is_exempt_from(limit) for limit in counted if limit.scope is scope)
            for value in self._values(scope, claim.lineage.identifiers):
                yield Use(directory_url, spent, scope, value, now, is_exempt)

    def _values(self, scope: Scope, identifiers: Sequence[Identifier]) -> list[str]:
        match scope:
            case Scope.ACCOUNT:
                return [""]  # there is one account per CA
            case Scope.REGISTERED_DOMAIN:
                return sorted({self._registered_domain(one.value) for one in identifiers})
            case Scope.EXACT_SET:
                return [",".join(sorted(one.value for one in identifiers))]
            case Scope.IDENTIFIER:
                return sorted(one.value for one in identifiers)


def _start(limit: Limit, now: datetime) -> datetime:
    return now - timedelta(seconds=limit.seconds)


def _span(seconds: float) -> str:
    for unit, size in _UNITS:
        if seconds >= size and seconds % size == 0:
            return counted(int(seconds // size), unit)
    return f"{seconds:g} s"
