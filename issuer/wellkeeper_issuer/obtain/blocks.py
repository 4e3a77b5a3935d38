"""Remember until when each CA must not be asked, so that many certificates do not all ask a CA that is down."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from wellkeeper_issuer.errors import OrderError, UnusableOrderError
from wellkeeper_issuer.ports.state import Ledger
from wellkeeper_issuer.records import Blocked
from wellkeeper_node.errors import Retry, WellkeeperError
from wellkeeper_node.ports import Clock

_DAY: Final = timedelta(days=1)
# It stays at an hour: one request stands for all certificates, and those about to expire must not wait longer.
_WAITS: Final = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
# After so many certificates limited in a row, the limit is probably the account's and would stop the others, too.
_REFUSED_IN_A_ROW: Final = 3
# Longer than any published window; a later time was written while the clock was wrong.
_LONGEST_OF_LINEAGE: Final = timedelta(days=7)
_LONGEST_OF_CA: Final = _DAY
_WORDS: Final = 400


@dataclass(frozen=True, slots=True)
class _Known:
    """A block and when it was recorded; `since` is None if an earlier process recorded it."""

    blocked: Blocked
    since: datetime | None

    def is_in_force(self, now: datetime) -> bool:
        """Return whether the block still counts. A clock that was set back ends it rather than making it longer."""
        return is_in_force(self.blocked, now) and (self.since is None or self.since <= now)


def is_in_force(blocked: Blocked, now: datetime) -> bool:
    """Return whether the block counts now, judging by its record alone."""
    return now < blocked.until <= now + (_LONGEST_OF_LINEAGE if blocked.lineage else _LONGEST_OF_CA)


def is_away(error: WellkeeperError) -> bool:
    """Return whether the error says that the CA is down or faulty, whichever certificate was asked for.

    Among errors without a problem document, only those of the order stage, the first contact, say so.
    """
    if error.problem is None:
        is_first_contact = isinstance(error, OrderError) and not isinstance(error, UnusableOrderError)
        return is_first_contact and error.retry is Retry.SOON
    return error.problem.status is not None and error.problem.status >= 500


class Blocks:
    """The blocks of all CAs. They are read from disk once: only the process that owns the state writes them."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._known: dict[tuple[str, str], _Known] | None = None
        self._failures: Counter[str] = Counter()
        self._refused: defaultdict[str, set[str]] = defaultdict(set)

    async def find(self, directory_url: str, lineage: str) -> Blocked | None:
        """Return the block that keeps this CA from being asked for this lineage now, or None."""
        known, now = await self._all(), self._clock.now()
        for name in ("", lineage):
            found = known.get((directory_url, name))
            if found is not None and found.is_in_force(now):
                return found.blocked
        return None

    async def learn(self, directory_url: str, lineage: str, error: WellkeeperError) -> None:
        """Record a block if the error says that the CA must not be asked for a while; most errors do not."""
        problem = error.problem
        if is_away(error):
            await self._is_away(directory_url, error)
        elif problem is None:
            return
        elif problem.name == "rateLimited" or problem.status == 429:
            await self._limits(directory_url, lineage, error)
        else:
            await self.answered(directory_url)

    async def defer(self, blocked: Blocked) -> None:
        """Record a block that follows from our own count of the CA's limits."""
        await self._record(blocked)

    async def answered(self, directory_url: str) -> None:
        """Record that the CA answered: a block of the whole CA ends."""
        self._failures.pop(directory_url, None)
        self._refused.pop(directory_url, None)
        known = (await self._all()).get((directory_url, ""))
        if known is not None and known.is_in_force(now := self._clock.now()):
            await self._record(Blocked(directory_url, "", now, "it answers again"))

    async def _is_away(self, directory_url: str, error: WellkeeperError) -> None:
        """Record that the CA is unavailable; renewals that fail at the same time count as one failure."""
        if await self._is_blocked(directory_url):
            return
        self._failures[directory_url] += 1
        count, now = self._failures[directory_url], self._clock.now()
        until = now + _WAITS[min(count, len(_WAITS)) - 1]
        if error.retry_at is not None:
            until = max(until, error.retry_at)
        times = "" if count == 1 else f", {count} times in a row"
        reason = f"the CA {_host(directory_url)} is unavailable{times}: {error!s:.{_WORDS}}"
        await self._record(Blocked(directory_url, "", min(until, now + _LONGEST_OF_CA), reason))

    async def _limits(self, directory_url: str, lineage: str, error: WellkeeperError) -> None:
        if error.retry_at is None:
            return  # the backoff of the certificate is enough
        until = min(error.retry_at, self._clock.now() + _LONGEST_OF_LINEAGE)
        reason = f"the CA {_host(directory_url)} limits {lineage}: {error!s:.{_WORDS}}"
        await self._record(Blocked(directory_url, lineage, until, reason))
        refused = self._refused[directory_url]
        refused.add(lineage)
        if len(refused) >= _REFUSED_IN_A_ROW and not await self._is_blocked(directory_url):
            # This is a guess: three failing names look the same, and must not delay the others for long.
            until = min(until, self._clock.now() + _WAITS[-1])
            reason = f"the CA {_host(directory_url)} limited {len(refused)} certificates in a row: {error!s:.{_WORDS}}"
            refused.clear()
            await self._record(Blocked(directory_url, "", until, reason))

    async def _is_blocked(self, directory_url: str) -> bool:
        known = (await self._all()).get((directory_url, ""))
        return known is not None and known.is_in_force(self._clock.now())

    async def _record(self, blocked: Blocked) -> None:
        known = await self._all()
        known[blocked.directory_url, blocked.lineage] = _Known(blocked, self._clock.now())
        await self._ledger.record_block(blocked)

    async def _all(self) -> dict[tuple[str, str], _Known]:
        if self._known is None:
            found = await self._ledger.read_blocks()
            if self._known is None:  # another task may have read them meanwhile
                self._known = {(one.directory_url, one.lineage): _Known(one, None) for one in found}
        return self._known


def _host(directory_url: str) -> str:
    return urlsplit(directory_url).hostname or directory_url
