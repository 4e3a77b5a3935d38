"""The relay of an issuer with an engine: written only while no other issuer holds the engine's lease."""

from collections.abc import AsyncGenerator

from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_issuer.fleet.lease import LeasedRecords
from wellkeeper_node.records.port import Records, Update


class LeasedRelay:
    """Implements `records.port.Records`. An engine that does not answer stops nothing: the relay is there for that."""

    def __init__(self, relay: Records, engine: LeasedRecords) -> None:
        self._relay = relay
        self._engine = engine

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        expected: str | None = None,
        lease: str | None = None,
        expires_at: float | None = None,
    ) -> str:
        await self._engine.check()
        return await self._relay.put(key, value, expected=expected, lease=lease, expires_at=expires_at)

    async def delete(self, key: str, *, expected: str, lease: str | None = None) -> None:
        await self._engine.check()
        await self._relay.delete(key, expected=expected, lease=lease)

    async def get(self, key: str) -> Stored | None:
        return await self._relay.get(key)

    def follow(self, *kinds: Kind) -> AsyncGenerator[Update, None]:
        return self._relay.follow(*kinds)

    async def acquire(self, holder: str, seconds: int) -> str | None:
        return await self._relay.acquire(holder, seconds)

    async def extend(self, lease: str, seconds: int) -> bool:
        return await self._relay.extend(lease, seconds)
