"""A relay in memory for tests, which can be away, lose its memory, and refuse; and nodes that report by themselves."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.fakes import FakeClock
from wellkeeper_client import records
from wellkeeper_client.fleet_bodies import NodeBody
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_client.signing import encode_public_key
from wellkeeper_node.agent.report import Report
from wellkeeper_node.bundles import content
from wellkeeper_node.errors import UnavailableError
from wellkeeper_node.records.memory import MemoryRecords
from wellkeeper_node.records.port import Update


class FakeRelay:
    """`records.port.NodeRecords` that answers while `is_up`; its memory is empty again after `restart`.

    While it `hangs`, it does not answer. `puts` counts the records that it was given. It may have room for few records.
    """

    def __init__(self, clock: FakeClock, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._clock = clock
        self._memory = MemoryRecords(clock, max_bytes)
        self.is_up = True
        self.hangs = False
        self.puts = 0

    def restart(self) -> None:
        """Forget all records, which makes room."""
        self._memory = MemoryRecords(self._clock)

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        expected: str | None = None,
        lease: str | None = None,
        expires_at: float | None = None,
    ) -> str:
        self._check()
        self.puts += 1
        while self.hangs:  # noqa: ASYNC110 - a test ends it
            await asyncio.sleep(0)
        return await self._memory.put(key, value, expected=expected, lease=lease, expires_at=expires_at)

    async def delete(self, key: str, *, expected: str, lease: str | None = None) -> None:
        self._check()
        await self._memory.delete(key, expected=expected, lease=lease)

    async def get(self, key: str) -> Stored | None:
        self._check()
        return await self._memory.get(key)

    async def follow(self, *kinds: Kind) -> AsyncGenerator[Update, None]:
        self._check()
        async for update in self._memory.follow(*kinds):
            self._check()
            yield update

    def carry(self, report: Stored, expected: str | None, failed: Callable[[], None]) -> bool:
        return self._memory.carry(report, expected, failed)

    async def acquire(self, holder: str, seconds: int) -> str | None:
        return await self._memory.acquire(holder, seconds)

    async def extend(self, lease: str, seconds: int) -> bool:
        return await self._memory.extend(lease, seconds)

    async def holder(self) -> str | None:
        self._check()
        return await self._memory.holder()

    async def keys(self, kind: Kind) -> list[str]:
        """Return the keys of this kind that are stored."""
        async for update in self._memory.follow(kind):
            return sorted(one.key for one in update.records)
        return []

    def _check(self) -> None:
        if not self.is_up:
            raise UnavailableError("cannot reach the relay", "Connection refused")


class PlayedNode:
    """A node with keys of its own that reports what a test says."""

    def __init__(self, name: str, relay: FakeRelay, clock: FakeClock) -> None:
        self.name = name
        self._relay = relay
        self._clock = clock
        self.signing_key = Ed25519PrivateKey.generate()
        self.sealing_key = X25519PrivateKey.generate()
        self.number = 0
        self.report = Report("1.2.3", clock.now().timestamp())

    @property
    def body(self) -> NodeBody:
        sealing_key = content.to_base64url(self.sealing_key.public_key().public_bytes_raw())
        return NodeBody(encode_public_key(self.signing_key.public_key()), sealing_key)

    async def say(self, **changes: object) -> None:
        """Report the last report with these changes."""
        self.report = replace(self.report, clock=self._clock.now().timestamp(), **changes)  # type: ignore[arg-type]
        self.number += 1
        stored = self.signed(self.number)
        known = await self._relay.get(stored.key)
        await self._relay.put(stored.key, stored.value, expected=known.version if known else None)

    def signed(self, number: int, about: str = "", key: Ed25519PrivateKey | None = None) -> Stored:
        """Return the record of a report, also a forged one: about another node, or with another key."""
        record = self.report.to_record(about or self.name, number, int(self._clock.now().timestamp()))
        return Stored(f"report/{self.name}", records.sign(record, key or self.signing_key).encode())
