"""The Protocol of records: state that many follow, not a log. Nothing in it is true because it is there.

Values are signed messages (`wellkeeper_client.records`), which the reader checks. Every write is conditional and can be
repeated. What a snapshot lacks removes nothing: tokens expire, and installed certificates stay.
docs/design/0023-records-and-relay.md has the reasons.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Protocol

from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind


@dataclass(frozen=True, slots=True)
class Update:
    """Records that are new to a follower, oldest first except in a snapshot, and keys that were deleted.

    `is_snapshot`: part of all that is there, at the start and whenever the store lost its past. `is_whole`: nothing
    follows yet; a large snapshot comes in parts.
    """

    records: tuple[Stored, ...]
    removed: tuple[str, ...]
    is_snapshot: bool
    is_whole: bool


class Records(Protocol):
    """Raises UnavailableError when the store does not answer within seconds, and what its calls say. Cancellable."""

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        expected: str | None = None,
        lease: str | None = None,
        expires_at: float | None = None,
    ) -> str:
        """Store the value, until `expires_at` if given (UNIX time), and return its version.

        `expected` is the version that must be stored under the key; None: nothing may be there. A value that is there
        already is a success, whatever was expected, so a repeated call changes nothing. With `lease`, that lease must
        be the current one in the same step. Raises ConflictError and LeaseLostError; after UnavailableError the value
        may have been stored.
        """
        ...

    async def delete(self, key: str, *, expected: str, lease: str | None = None) -> None:
        """Delete the record with this version. A key without a record is a success. Raises like `put`."""
        ...

    async def get(self, key: str) -> Stored | None: ...

    def follow(self, *kinds: Kind) -> AsyncGenerator[Update, None]:
        """Yield a snapshot of these kinds, also an empty one, then the changes in order, without an end.

        Records that expire leave without a change. The caller closes it, and forgets nothing because it raised.
        """
        ...

    async def acquire(self, holder: str, seconds: int) -> str | None:
        """Return a new random lease, or None while another holder has one. It ends the holder's own former one."""
        ...

    async def extend(self, lease: str, seconds: int) -> bool:
        """Let the lease last so long from now on; return False if it is not the current one."""
        ...


class Engine(Records, Protocol):
    """Records with a lease that others wait for."""

    async def holder(self) -> str | None:
        """Return who has the lease; None while there is none."""
        ...


class NodeRecords(Records, Protocol):
    """Records as a node uses them."""

    def carry(self, report: Stored, expected: str | None, failed: Callable[[], None]) -> bool:
        """Store the report with the next request that `follow` makes; return False if that is not possible.

        It is meant for a caller that lets `follow` continue now, and saves a request. `expected` is that of `put`.
        `failed` is called if the report may not have been stored; `follow` continues after a conflict.
        """
        ...


class KeptRecords(NodeRecords, Protocol):
    """Records with connections that are kept open."""

    async def close(self) -> None: ...
