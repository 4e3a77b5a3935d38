"""The rules of records that many write and follow: conditions, leases, the order of changes. Pure, without a clock.

A version is a digest of the value, not a counter: a store that lost its memory and was filled again has the same
versions, and a write that was repeated, because its answer was lost, changes nothing. Rules:
docs/design/0023-records-and-relay.md.
"""

import base64
import hashlib
import secrets
from collections import deque
from collections.abc import Callable, Collection, Set
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

# What an entry takes in memory beside its key and its value.
_OVERHEAD_BYTES: Final = 512
# A follower that missed more removals gets a snapshot.
REMOVALS_BYTES: Final = 64 * 1024
# What a removal takes in a page beside its key, and more, so that they are at most two thousand.
_REMOVAL_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Stored:
    """A value under its key until `expires_at`, a UNIX time; None: until it is deleted."""

    key: str
    value: bytes
    expires_at: float | None = None

    @property
    def version(self) -> str:
        return version_of(self.value)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The keys that a follower wants: of these groups, of which none is part of another, and visible to it.

    Most keys are of other groups, see `groups_of`.
    """

    groups: Set[str]
    is_visible: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Page:
    """The changes after a number, oldest first; `next` is the number to ask with, `is_whole` if nothing follows yet.

    `is_snapshot`: it begins with the oldest record, and what it lacks is not there.
    """

    records: tuple[Stored, ...]
    removed: tuple[str, ...]
    next: int
    is_snapshot: bool
    is_whole: bool


class RefusedError(Exception):
    """A write whose condition is false; `current` is what is stored under the key."""

    def __init__(self, why: str, current: Stored | None = None, *, is_lease_lost: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.current = current
        self.is_lease_lost = is_lease_lost


class FullError(Exception):
    """There is no room for the record."""


def version_of(value: bytes) -> str:
    """Return the version of a value, 43 characters of base64url."""
    return base64.urlsafe_b64encode(hashlib.sha256(value).digest()).rstrip(b"=").decode()


def groups_of(key: str) -> tuple[str, ...]:
    """Return the groups of a key: its kind, and if there are two names after it, also kind and first name."""
    kind, _, names = key.partition("/")
    name, separator, _ = names.partition("/")
    return (kind, f"{kind}/{name}") if separator else (kind,)


class RecordState:
    """Records in memory, at most `max_bytes` of them. Each call gets the UNIX time as `now`."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: dict[str, tuple[int, Stored]] = {}
        # The keys of each group, oldest change first.
        self._groups: dict[str, dict[str, None]] = {}
        # From 1 on, so that a follower of an empty store has a number to ask with.
        self._number = 1
        self._removed: deque[tuple[int, str]] = deque()
        self._removals_bytes = 0
        self._lost_removal = 0
        self._lease: tuple[str, str, float] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def used_bytes(self) -> int:
        return self._bytes

    def put(self, stored: Stored, now: float, *, expected: str | None = None, lease: str | None = None) -> bool:
        """Store the value if the version under its key is `expected`, or nothing is there; return if that changed it.

        A value that is there already changes nothing, whatever was expected. Raises RefusedError and FullError.
        """
        self._check_lease(lease, now)
        current = self.get(stored.key, now)
        if current is not None and current.value == stored.value:
            self._entries[stored.key] = self._entries[stored.key][0], stored
            return False
        _check_version(stored.key, current, expected)
        self._make_room(_size(stored) - (_size(current) if current else 0), now)
        self._forget(stored.key)
        self._number += 1
        self._entries[stored.key] = self._number, stored
        for group in groups_of(stored.key):
            self._groups.setdefault(group, {})[stored.key] = None
        self._bytes += _size(stored)
        return True

    def delete(self, key: str, now: float, *, expected: str, lease: str | None = None) -> bool:
        """Delete the record with this version, and return if it was there. Raises RefusedError."""
        self._check_lease(lease, now)
        current = self.get(key, now)
        if current is None:
            return False
        _check_version(key, current, expected)
        self._forget(key)
        self._number += 1
        self._note_removal(key)
        return True

    def get(self, key: str, now: float) -> Stored | None:
        _, stored = self._entries.get(key, (0, None))
        if stored is not None and _is_over(stored, now):
            self._forget(key)
            return None
        return stored

    def page(self, after: int, wanted: Wanted, now: float, most_bytes: int) -> Page:
        """Return the changes after this number of the wanted keys, about `most_bytes` and at least one record.

        An unknown number, or one before removals that were forgotten, begins a snapshot. Records that expired leave
        without a change.
        """
        after = after if self._lost_removal <= after <= self._number else 0
        taken: list[Stored] = []
        size, following = 0, self._number
        for number, stored in self._after(after, wanted.groups):
            if not wanted.is_visible(stored.key) or _is_over(stored, now):
                continue
            if taken and size + _size(stored) > most_bytes:
                break
            taken.append(stored)
            size, last = size + _size(stored), number
        else:
            last = following
        gone = dict.fromkeys(key for number, key in self._removed if after and after < number <= last)
        seen = [key for key in gone if not wanted.groups.isdisjoint(groups_of(key)) and wanted.is_visible(key)]
        removed = tuple(key for key in seen if key not in self._entries)
        return Page(tuple(taken), removed, last, after == 0, last == following)

    def has_changes(self, after: int, wanted: Wanted, now: float) -> bool:
        """Return whether a page after this number has anything in it."""
        page = self.page(after, wanted, now, 1)
        return bool(page.records or page.removed or (page.is_snapshot and after))

    def expire(self, now: float) -> None:
        """Forget what expired."""
        for key in [key for key, (_, stored) in self._entries.items() if _is_over(stored, now)]:
            self._forget(key)

    def acquire(self, holder: str, seconds: float, now: float) -> str | None:
        """Return the random id of a new lease, which ends the holder's former one; None while another has one."""
        if self._lease is not None and self._lease[1] != holder and now < self._lease[2]:
            return None
        self._lease = secrets.token_urlsafe(16), holder, now + seconds
        return self._lease[0]

    def extend(self, lease: str, seconds: float, now: float) -> bool:
        """Let the lease last so long from now on; return False if it is not the current one."""
        if self._lease is None or self._lease[0] != lease or now >= self._lease[2]:
            return False
        self._lease = lease, self._lease[1], now + seconds
        return True

    def holder(self, now: float) -> str | None:
        """Return the holder of the lease; None while there is none."""
        return self._lease[1] if self._lease is not None and now < self._lease[2] else None

    def _check_lease(self, lease: str | None, now: float) -> None:
        is_held = self._lease is not None and self._lease[0] == lease and now < self._lease[2]
        if lease is not None and not is_held:
            raise RefusedError("the lease has ended, or another one began", is_lease_lost=True)

    def _after(self, after: int, groups: Collection[str]) -> list[tuple[int, Stored]]:
        found = []
        for group in groups:
            for key in reversed(self._groups.get(group, {})):
                entry = self._entries[key]
                if entry[0] <= after:
                    break
                found.append(entry)
        return sorted(found, key=itemgetter(0))

    def _make_room(self, size: int, now: float) -> None:
        """Forget what expired, if necessary. Raises FullError."""
        if self._bytes + size > self._max_bytes:
            self.expire(now)
        if self._bytes + size > self._max_bytes:
            raise FullError(f"no room for the record: the limit for all of them is {self._max_bytes} bytes")

    def _note_removal(self, key: str) -> None:
        self._removed.append((self._number, key))
        self._removals_bytes += _REMOVAL_BYTES + len(key)
        while self._removals_bytes > REMOVALS_BYTES:
            self._lost_removal, oldest = self._removed.popleft()
            self._removals_bytes -= _REMOVAL_BYTES + len(oldest)

    def _forget(self, key: str) -> None:
        _, stored = self._entries.pop(key, (0, None))
        if stored is None:
            return
        self._bytes -= _size(stored)
        for group in groups_of(key):
            del self._groups[group][key]
            if not self._groups[group]:
                del self._groups[group]


def _check_version(key: str, current: Stored | None, expected: str | None) -> None:
    found = current.version if current else None
    if found != expected:
        raise RefusedError(f"{key} has {'another version' if found else 'no version'}, not the expected one", current)


def _is_over(stored: Stored, now: float) -> bool:
    return stored.expires_at is not None and stored.expires_at <= now


def _size(stored: Stored) -> int:
    return _OVERHEAD_BYTES + len(stored.key) + len(stored.value)
