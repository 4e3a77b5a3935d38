"""The Protocols of what distribution keeps on disk, and of what brings it to nodes."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, Record
from wellkeeper_issuer.fleet.sealing import Sealed
from wellkeeper_node.bundles.kept import Kept
from wellkeeper_node.bundles.model import Version
from wellkeeper_node.errors import RecordRefusedError
from wellkeeper_node.model import Pair


class Archive(Protocol):
    """The certificates of the issuer's host by version. Raises InstallError."""

    async def newest(self, lineage: str) -> Version | None:
        """Return the recorded version with the highest number."""
        ...

    async def record_newest(self, lineage: str, version: Version) -> None:
        """Record the version, durably, unless a number as high is on record."""
        ...

    async def versions(self, lineage: str) -> Sequence[str]:
        """Return the names of all versions, the oldest first."""
        ...

    async def live(self, lineage: str) -> str | None:
        """Return the live version; None without one."""
        ...

    async def read(self, lineage: str, version: str) -> Pair | None:
        """Return the pair of a version; None when it is missing, damaged, disowned or revoked."""
        ...

    async def unwanted(self, lineage: str, now: datetime) -> frozenset[str]:
        """Return SHA-256 of the leaves that were revoked or disowned, and have not expired."""
        ...

    async def never_restore(self, lineage: str, leaf_sha256: str) -> None:
        """Mark the leaf as revoked, where there is an archive of the lineage. Idempotent."""
        ...


class Bundles(Protocol):
    """The newest sealed bundle of each lineage. Blocking; raises SettingsError."""

    def read(self, lineage: str) -> Sealed | None: ...

    def write(self, sealed: Sealed) -> None: ...

    def sealed_at(self, lineage: str) -> datetime | None: ...

    def remove(self, lineage: str) -> None: ...


class Manifests(Protocol):
    """The highest manifest. Blocking; raises InstallError and FleetError."""

    def read(self) -> Kept | None: ...

    def take(self, message: bytes) -> Kept: ...


class Feeding(Protocol):
    """Keeps what the issuer says where nodes find it; `feed.Feed` has the contract of each call."""

    async def put(self, *some: Record) -> None: ...

    async def put_signed(self, *some: Stored) -> None: ...

    async def delete(self, keys: Iterable[str]) -> None: ...

    async def keep_only(self, keys: Collection[str], *kinds: Kind) -> None: ...

    async def try_refused(self) -> None: ...

    async def run(self) -> None: ...

    async def wait(self, *, seconds: float) -> None: ...

    async def wait_until_filled(self, *, seconds: float) -> bool: ...

    def has(self, key: str) -> bool: ...

    def is_there(self, key: str) -> bool: ...

    def refusal(self, key: str) -> RecordRefusedError | None: ...

    @property
    def failure(self) -> str: ...

    @property
    def heard(self) -> asyncio.Event: ...

    @property
    def outages(self) -> int: ...
