"""The feed of fetches: numbered, bounded, with explicit gaps; one for the whole responder.

Hits and misses have separate rings, so that a flood of invented tokens cannot push out the CA's fetches. Only hits by
others than our own read-backs end waiting polls.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final, NamedTuple

from wellkeeper_client.wire import WireError
from wellkeeper_responder.clock import Clock

# A CA fetches from five perspectives, some three times: 8192 hits are several hundred authorizations between two polls.
MAX_HITS: Final = 8192
MAX_MISSES: Final = 1024
MAX_DELIVERED: Final = 1000
MAX_WAITING: Final = 16


class Fetch(NamedTuple):
    """A request for a token, and the HTTP status of the answer; `at` is UNIX time, texts are bounded and printable."""

    sequence: int
    at: float
    token: str
    client_address: str | None
    user_agent: str | None
    host: str | None
    status: int
    is_read_back: bool

    def to_json(self) -> dict[str, Any]:
        return {**self._asdict(), "at": round(self.at, 3)}


# The fields of a Fetch. The rings hold plain tuples of plain values: they cost half as much to make, and the garbage
# collector stops tracking them.
FetchFields = tuple[int, float, str, str | None, str | None, str | None, int, bool]


@dataclass(frozen=True, slots=True)
class Delivery:
    """The fetches after a sequence number, oldest first; the next poll continues after `next`.

    `lost` counts entries up to `next` that were dropped; `lost_hits` is true when hits may be among them.
    """

    fetches: tuple[Fetch, ...]
    next: int
    lost: int
    lost_hits: bool


class _Ring:
    def __init__(self, size: int) -> None:
        self._fetches: deque[FetchFields] = deque(maxlen=size)
        self.newest_lost = 0

    def append(self, fetch: FetchFields) -> None:
        if len(self._fetches) == self._fetches.maxlen:
            self.newest_lost = self._fetches[0][0]
        self._fetches.append(fetch)

    def after(self, sequence: int) -> Iterable[Fetch]:
        newest_first = takewhile(lambda fetch: fetch[0] > sequence, reversed(self._fetches))
        return map(Fetch._make, reversed(list(newest_first)))


class Fetches:
    """The feed. Sequence numbers start at 1 and belong to this process (`instance_id`)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._hits = _Ring(MAX_HITS)
        self._misses = _Ring(MAX_MISSES)
        self._sequence = 0
        self._newest_awaited = 0
        self._hit = asyncio.Event()
        self._is_closed = False
        self.waiting_count = 0

    @property
    def newest(self) -> int:
        """Return the last sequence number; 0 before the first fetch."""
        return self._sequence

    def record(  # noqa: PLR0913 - the fields of a Fetch
        self,
        token: str,
        status: int,
        *,
        client_address: str | None,
        user_agent: str | None,
        host: str | None,
        is_read_back: bool,
    ) -> FetchFields:
        """Number and keep a request; return what was kept."""
        self._sequence += 1
        fetch = (self._sequence, self._clock.timestamp(), token, client_address, user_agent, host, status, is_read_back)
        if status == 200:
            self._hits.append(fetch)
            if not is_read_back:
                self._end_polls()
        else:
            self._misses.append(fetch)
        return fetch

    def read(self, after: int) -> Delivery:
        """Return at most MAX_DELIVERED entries; an unknown number (from another process) counts as 0."""
        after = after if after <= self._sequence else 0
        merged = heapq.merge(self._hits.after(after), self._misses.after(after), key=lambda fetch: fetch.sequence)
        fetches = tuple(fetch for fetch, _ in zip(merged, range(MAX_DELIVERED), strict=False))
        is_whole = len(fetches) < MAX_DELIVERED
        following = self._sequence if is_whole else fetches[-1].sequence
        return Delivery(
            fetches=fetches,
            next=following,
            # Each number up to `following` belongs to exactly one entry.
            lost=following - after - len(fetches),
            lost_hits=self._hits.newest_lost > after,
        )

    async def wait(self, after: int, seconds: float) -> None:
        """Wait for a hit after this number that is not a read-back, at most for these seconds or until `close`.

        Raises WireError 429 while MAX_WAITING others wait.
        """
        after = after if after <= self._sequence else 0
        if self._newest_awaited > after or seconds <= 0 or self._is_closed:
            return
        if self.waiting_count >= MAX_WAITING:
            raise WireError(429, "too-many-polls", f"{MAX_WAITING} polls are already waiting; one serves all tokens")
        self.waiting_count += 1
        try:
            async with asyncio.timeout(seconds):
                await self._hit.wait()
        except TimeoutError:
            pass
        finally:
            self.waiting_count -= 1

    def _end_polls(self) -> None:
        self._newest_awaited = self._sequence
        if self.waiting_count:
            self._hit.set()
            self._hit = asyncio.Event()

    def close(self) -> None:
        """End all waiting polls; later ones return at once."""
        self._is_closed = True
        self._hit.set()
