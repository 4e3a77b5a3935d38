"""Records in this process: for tests, and for an issuer and a node that are one process."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from wellkeeper_client import relay_wire
from wellkeeper_client.record_state import FullError, RecordState, RefusedError, Stored, Wanted
from wellkeeper_client.records import Kind
from wellkeeper_node.errors import ConflictError, LeaseLostError, RecordRefusedError, RecordsError
from wellkeeper_node.ports import Clock
from wellkeeper_node.records.port import Update

_MAX_BYTES = 64 * 1024 * 1024


class MemoryRecords:
    """Implements `port.NodeRecords`."""

    def __init__(self, clock: Clock, max_bytes: int = _MAX_BYTES) -> None:
        self._clock = clock
        self._state = RecordState(max_bytes)
        self._changed = asyncio.Event()

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        expected: str | None = None,
        lease: str | None = None,
        expires_at: float | None = None,
    ) -> str:
        stored = Stored(key, value, expires_at)
        try:
            is_new = self._state.put(stored, self._now, expected=expected, lease=lease)
        except RefusedError as error:
            raise _refusal(f"cannot store {key}", error) from error
        except FullError as error:
            raise RecordRefusedError(f"cannot store {key}", str(error)) from error
        if is_new:
            self._wake()
        return stored.version

    async def delete(self, key: str, *, expected: str, lease: str | None = None) -> None:
        try:
            was_there = self._state.delete(key, self._now, expected=expected, lease=lease)
        except RefusedError as error:
            raise _refusal(f"cannot delete {key}", error) from error
        if was_there:
            self._wake()

    async def get(self, key: str) -> Stored | None:
        return self._state.get(key, self._now)

    async def follow(self, *kinds: Kind) -> AsyncGenerator[Update, None]:
        after, is_snapshot, wanted = 0, True, Wanted(frozenset(kinds), lambda _: True)
        while True:
            changed = self._changed
            page = self._state.page(after, wanted, self._now, relay_wire.PAGE_BYTES)
            is_snapshot = is_snapshot or page.is_snapshot
            if is_snapshot or page.records or page.removed:
                yield Update(page.records, page.removed, is_snapshot, page.is_whole)
            after = page.next
            if page.is_whole:
                is_snapshot = False
                await changed.wait()

    def carry(self, report: Stored, expected: str | None, failed: Callable[[], None]) -> bool:  # noqa: ARG002
        """Return False: there are no requests to save."""
        return False

    async def acquire(self, holder: str, seconds: int) -> str | None:
        return self._state.acquire(holder, seconds, self._now)

    async def extend(self, lease: str, seconds: int) -> bool:
        return self._state.extend(lease, seconds, self._now)

    async def holder(self) -> str | None:
        return self._state.holder(self._now)

    @property
    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _refusal(what: str, error: RefusedError) -> RecordsError:
    return (LeaseLostError if error.is_lease_lost else ConflictError)(what, error.why)
