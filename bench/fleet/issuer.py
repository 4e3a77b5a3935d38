"""The issuer's side of a fleet in this process, made of the issuer's own classes: it feeds a relay and hears nodes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import wellkeeper_issuer.commands  # noqa: F401 - collects garbage as seldom as the issuer
from stand.processes import StandError
from stand.relay import RelayProcess
from wellkeeper_client.fleet_bodies import NodeBody
from wellkeeper_client.signing import encode_public_key, key_id
from wellkeeper_issuer.fleet.deps import Deps
from wellkeeper_issuer.fleet.distribution import Disk
from wellkeeper_issuer.fleet.fleet import Fleet, open_fleet
from wellkeeper_issuer.fleet.lease import LeasedRecords
from wellkeeper_issuer.outside.archive import ArchiveFolder
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.keys.sealed_bundles import SealedBundles
from wellkeeper_issuer.outside.state.state import JOURNAL, open_state
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_node.bundles.engine_access import EngineAccess
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.records.engine import parse_engine
from wellkeeper_node.records.relay import RelayRecords
from wellkeeper_node.records.valkey import open_engine

_RELAY_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class FleetIssuer:
    """A directory with fleet key, state and certificates."""

    folder: Path

    @property
    def certificates(self) -> Path:
        return self.folder / "certificates"

    @property
    def fleet_key(self) -> Ed25519PrivateKey:
        keys = FleetKeys(self.folder)
        keys.make()
        return keys.current

    @property
    def public_fleet_key(self) -> str:
        return encode_public_key(self.fleet_key.public_key())

    @asynccontextmanager
    async def at_work(
        self,
        relay: RelayProcess,
        nodes: Mapping[str, NodeBody],
        lineages: Collection[str] = (),
        engine: EngineAccess | None = None,
    ) -> AsyncIterator[Fleet]:
        """Run the fleet with these nodes; relay and engine have their records, and all that is sealed for them."""
        key, clock = self.fleet_key, SystemClock()
        public = key.public_key()
        manifests = ManifestFile(self.folder / "manifest.jws", {key_id(public): public})
        disk = Disk(ArchiveFolder(self.certificates), SealedBundles(self.folder), manifests)
        records = RelayRecords(f"unix:{relay.issuer_socket}", clock)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(records.close)
            state = await stack.enter_async_context(open_state(self.folder / JOURNAL, may_write=True))
            for name, body in nodes.items():
                await state.fleet.record_node(enrolled(name, body))
            leased = await stack.enter_async_context(_leased(engine)) if engine else None
            deps = Deps(records, key, disk, state.fleet, clock, lineages, engine=leased, access=engine)
            fleet = await open_fleet(deps)
            working = asyncio.create_task(fleet.run())
            stack.push_async_callback(_ended, working)
            await fleet.feed.wait(seconds=_RELAY_SECONDS)
            await fleet.refresh()
            await _until_filled(fleet)
            yield fleet


@asynccontextmanager
async def _leased(engine: EngineAccess) -> AsyncIterator[LeasedRecords]:
    records = open_engine(parse_engine(engine.address), engine.user, engine.password, SystemClock())
    leased = LeasedRecords(records, "bench", SystemClock())
    leasing = asyncio.create_task(leased.run())
    try:
        await leased.wait()
        yield leased
    finally:
        await _ended(leasing)
        await records.close()


async def until(fleet: Fleet, what: str, is_over: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait for reports that make the condition true. Raises StandError."""
    if not await fleet.reports.until(is_over, seconds):
        raise StandError(f"not within {seconds:g} s: {what}")


async def until_all_report(fleet: Fleet) -> None:
    """Wait until every node has reported. Raises StandError."""
    await until(fleet, "every node has reported", lambda: len(fleet.reports.last) == len(fleet.nodes))


def enrolled(name: str, body: NodeBody) -> EnrolledNode:
    """Return the node as the state has it once it has joined."""
    return EnrolledNode(
        name, body.signing_key, body.sealing_key, body.lineages, answers=body.answers, enrolled_at=datetime.now(UTC)
    )


async def _until_filled(fleet: Fleet) -> None:
    """Wait until the relay has everything; a heartbeat may be on its way at any time. Raises StandError."""
    if not await fleet.feed.wait_until_filled(seconds=_RELAY_SECONDS):
        raise StandError(f"the relay does not have everything: {fleet.feed.failure}")


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait([task])
