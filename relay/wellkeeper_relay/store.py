"""The records of a relay, and the polls that wait for changes."""

import asyncio
import secrets

from wellkeeper_client import relay_wire
from wellkeeper_client.record_state import FullError, Page, RecordState, RefusedError, Stored, Wanted, groups_of
from wellkeeper_client.wire import WireError
from wellkeeper_relay.keys import busy
from wellkeeper_responder.capacity import MAX_PUBLIC_CONNECTIONS
from wellkeeper_responder.clock import Clock

# Each node of two full listeners.
MAX_WAITING = 2 * MAX_PUBLIC_CONNECTIONS


class Store:
    """Records in memory. Its calls raise WireError: 412 for a condition, 507 without room, 429 for too many polls."""

    def __init__(self, clock: Clock, max_bytes: int) -> None:
        self.instance_id = secrets.token_urlsafe(16)
        self._clock = clock
        self._state = RecordState(max_bytes)
        self._waiting: dict[asyncio.Future[None], Wanted] = {}
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._state)

    @property
    def used_bytes(self) -> int:
        return self._state.used_bytes

    @property
    def waiting_count(self) -> int:
        return len(self._waiting)

    def put(self, stored: Stored, expected: str | None, lease: str | None) -> bool:
        """Return whether the value is new."""
        try:
            is_new = self._state.put(stored, self._now, expected=expected, lease=lease)
        except RefusedError as error:
            raise _refusal(error) from error
        except FullError as error:
            raise WireError(507, "full", str(error)) from error
        if is_new:
            self.wake(stored.key)
        return is_new

    def delete(self, key: str, expected: str, lease: str | None) -> bool:
        """Return whether it was there."""
        try:
            was_there = self._state.delete(key, self._now, expected=expected, lease=lease)
        except RefusedError as error:
            raise _refusal(error) from error
        if was_there:
            self.wake(key)
        return was_there

    def discard(self, key: str) -> None:
        """Delete the record, whatever its value; idempotent."""
        found = self.get(key)
        if found is not None:
            self.delete(key, found.version, None)

    def get(self, key: str) -> Stored | None:
        return self._state.get(key, self._now)

    def page(self, after: int, wanted: Wanted) -> Page:
        return self._state.page(after, wanted, self._now, relay_wire.PAGE_BYTES)

    def acquire(self, holder: str, seconds: int) -> str | None:
        return self._state.acquire(holder, seconds, self._now)

    def extend(self, lease: str, seconds: int) -> bool:
        return self._state.extend(lease, seconds, self._now)

    async def wait(self, after: int, wanted: Wanted, seconds: float) -> None:
        """Wait for a change of a wanted key after this number, at most for these seconds or until `close`."""
        if seconds > 0 and not self._state.has_changes(after, wanted, self._now):
            await self.wait_for_change(wanted, seconds)

    async def wait_for_change(self, wanted: Wanted, seconds: float) -> None:
        """Wait for the next change of a wanted key, at most for these seconds or until `close`."""
        if self._is_closed:
            return
        if len(self._waiting) >= MAX_WAITING:
            raise busy()
        changed = asyncio.get_running_loop().create_future()
        self._waiting[changed] = wanted
        try:
            async with asyncio.timeout(seconds):
                await changed
        except TimeoutError:
            pass
        finally:
            del self._waiting[changed]

    def close(self) -> None:
        """End all waiting polls; later ones return at once."""
        self._is_closed = True
        for changed in self._waiting:
            _finish(changed)

    def wake(self, key: str) -> None:
        """End the waiting polls for this key."""
        groups = groups_of(key)
        for changed, wanted in self._waiting.items():
            if not wanted.groups.isdisjoint(groups) and wanted.is_visible(key):
                _finish(changed)

    @property
    def _now(self) -> float:
        return self._clock.timestamp()


def _finish(changed: asyncio.Future[None]) -> None:
    if not changed.done():
        changed.set_result(None)


def _refusal(error: RefusedError) -> WireError:
    return WireError(412, "lease-lost" if error.is_lease_lost else "conflict", error.why)
