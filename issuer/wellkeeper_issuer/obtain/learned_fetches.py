"""Learn how many fetches of a token precede a CA's verdict, to ask for it right after that many.

A CA fetches from several places, but always from as many. Before three verdicts in a row came after equally many, and
whenever fewer fetches come, validation waits for quiet instead. A question that is too early costs one request: the
count is learned again, and if it is the same, the question is sent twice as long after the last fetch.
"""

import asyncio
from dataclasses import replace
from typing import Final

from wellkeeper_issuer.ports.state import FetchCounts
from wellkeeper_issuer.records import FetchCount
from wellkeeper_node.model import ExpectedFetches

# A CA decides after its last fetch is answered; a responder reports the fetch before that.
_FIRST_QUIET_SECONDS: Final = 0.01
# About the quiet time of validation: with more, nothing is saved.
_LONGEST_QUIET_SECONDS: Final = 0.16
_REPEATS: Final = 3


class LearnedFetches:
    """The habits of all CAs; nothing is known or learned without `records`."""

    def __init__(self, records: FetchCounts | None = None) -> None:
        self._records = records
        self._lock = asyncio.Lock()

    async def expected(self, directory_url: str) -> ExpectedFetches | None:
        """Return what precedes the CA's verdict, None while that is unknown."""
        known = await self._records.read_fetch_count(directory_url) if self._records else None
        if known is None or known.repeats < _REPEATS or known.quiet_seconds > _LONGEST_QUIET_SECONDS:
            return None
        return ExpectedFetches(known.fetches, known.quiet_seconds)

    async def record_early(self, directory_url: str) -> None:
        """Record that the CA had no verdict yet after the expected fetches."""
        if self._records is None:
            return
        async with self._lock:
            known = await self._records.read_fetch_count(directory_url)
            # Of several questions at the same time, only the first one changes it.
            if known and known.repeats >= _REPEATS:
                later = replace(known, repeats=0, quiet_seconds=known.quiet_seconds * 2)
                await self._records.record_fetch_count(later)

    async def record_valid(self, directory_url: str, fetches: int) -> None:
        """Record how many fetches came before the CA accepted an authorization; 0 means that none was reported."""
        if self._records is None or fetches == 0:
            return
        async with self._lock:
            known = await self._records.read_fetch_count(directory_url)
            if known is None or known.fetches != fetches:
                known = FetchCount(directory_url, fetches, 0, _FIRST_QUIET_SECONDS)
            if known.repeats < _REPEATS:
                await self._records.record_fetch_count(replace(known, repeats=known.repeats + 1))
