"""Nodes that the test plays at a real relay: they hold tokens, open bundles, and report what the test says."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from stand.host import Host, running_host
from stand.relay import RelayProcess
from wellkeeper_client import records
from wellkeeper_client.fleet_bodies import parse_publication
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, Record
from wellkeeper_client.signing import encode_public_key, key_id
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.state.state import JOURNAL, open_state
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_node.agent.report import CertificateReport, CertificateState, PublicationReport, Report
from wellkeeper_node.bundles import content
from wellkeeper_node.bundles.manifest import read_manifest
from wellkeeper_node.bundles.model import Bundle, read_sealed, read_wrap
from wellkeeper_node.bundles.opening import open_bundle
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import RecordsError
from wellkeeper_node.model import ReadBack
from wellkeeper_node.records.relay import Reader, RelayRecords

NAME = "www.example.org"


class PlayedAgent:
    """An agent; `cause` fails its read-backs, and `state` is what becomes of each certificate. `bundle` is the last."""

    def __init__(self, name: str, address: str, fleet_key: Ed25519PublicKey) -> None:
        self.name = name
        self.cause: str | None = None
        self.state = CertificateState.SERVED
        self.bundle: Bundle | None = None
        self.listed: set[str] = set()
        self.disowned: frozenset[str] = frozenset()
        self._keys = {key_id(fleet_key): fleet_key}
        self._signing, self._sealing = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
        self._relay = RelayRecords(address, SystemClock(), Reader(name, self._signing))
        self._stored: dict[str, Stored] = {}
        self._changed = asyncio.Event()
        self._reported = asyncio.Event()

    @property
    def enrolled(self) -> EnrolledNode:
        sealing = content.to_base64url(self._sealing.public_key().public_bytes_raw())
        signing = encode_public_key(self._signing.public_key())
        return EnrolledNode(self.name, signing, sealing, ("*",), answers=True, enrolled_at=datetime.now(UTC))

    async def run(self) -> None:
        """Follow and report until cancelled; a relay that is away is tried again."""
        try:
            while True:
                try:
                    await self._follow()
                except RecordsError:
                    self._reported.clear()
                    await asyncio.sleep(0.05)
        finally:
            await self._relay.close()

    async def has(self, number: int) -> Bundle:
        """Wait for this version of the certificate."""
        while self.bundle is None or self.bundle.version.number != number:
            self._changed.clear()
            await self._changed.wait()
        return self.bundle

    async def holds_any(self, *, is_so: bool) -> None:
        """Wait until there is a publication that was not withdrawn, or none."""
        while bool(self._publications()) != is_so:
            self._changed.clear()
            await self._changed.wait()

    async def lists(self, lineages: set[str]) -> None:
        """Wait until the manifest lists these certificates."""
        while self.listed != lineages:
            self._changed.clear()
            await self._changed.wait()

    async def _follow(self) -> None:
        async for update in self._relay.follow(Kind.PUBLICATION, Kind.MANIFEST, Kind.BUNDLE, Kind.WRAP):
            self._stored |= {one.key: one for one in update.records}
            if update.is_whole:
                self._changed.set()
                self._open()
                await self._report()

    def _open(self) -> None:
        """Open the newest bundle, once all of its records are there."""
        manifest, sealed, wrap = map(self._record, ("manifest/fleet", "bundle/web", f"wrap/{self.name}/web"))
        if manifest:
            self.listed = set(read_manifest(manifest).lineages)
            self._changed.set()
        if manifest and sealed and wrap and sealed.number == wrap.number:
            found = read_manifest(manifest)
            entry, self.disowned = found.lineages.get("web"), found.disown.get("web", frozenset())
            if entry is not None and entry.version.number == sealed.number:
                now = datetime.now(UTC)
                self.bundle = open_bundle(found, read_sealed(sealed), read_wrap(wrap), self._sealing, now)
                self._changed.set()

    def _record(self, key: str) -> Record | None:
        stored = self._stored.get(key)
        return records.check(stored.value, self._keys, records.kind_of(key), time.time()) if stored else None

    async def _report(self) -> None:
        report = Report("1.2.3", time.time(), publications=self._publications(), certificates=self._certificates())
        record = report.to_record(self.name, time.time_ns() // 1_000_000, int(time.time()))
        known = await self._relay.get(record.key)
        message = records.sign(record, self._signing).encode()
        await self._relay.put(record.key, message, expected=known.version if known else None)
        self._reported.set()

    async def is_connected(self) -> None:
        """Wait until the relay has a report of this node."""
        await self._reported.wait()

    def _publications(self) -> dict[str, PublicationReport]:
        found = {}
        for key in self._stored:
            record = self._record(key) if key.startswith("publication/") else None
            if record is not None and not parse_publication(record.body).is_withdrawal:
                read = ReadBack(self.name, f"http://{NAME}/", "127.0.0.1:80", 403 if self.cause else 200, self.cause)
                found[key.removeprefix("publication/")] = PublicationReport(is_held=True, read_backs=(read,))
        return found

    def _certificates(self) -> dict[str, CertificateReport]:
        if self.bundle is None:
            return {}
        return {"web": CertificateReport(self.bundle.version.number, "ab" * 32, self.state)}


@dataclass(frozen=True, slots=True)
class PlayedFleet:
    """A host whose issuer has a relay and these nodes beside its own nginx."""

    host: Host
    relay: RelayProcess
    agents: dict[str, PlayedAgent]


@asynccontextmanager
async def played_fleet(
    folder: Path,
    names: Sequence[str],
    *,
    is_relay_up: bool = True,
    **of_the_ca: Any,  # noqa: ANN401 - as running_host
) -> AsyncIterator[PlayedFleet]:
    async with running_host(folder, {"web": [NAME]}, **of_the_ca) as host, AsyncExitStack() as stack:
        keys = FleetKeys(host.issuer.state_dir)
        keys.make()
        public = keys.current.public_key()
        relay = RelayProcess(folder / "relay", tuple(encode_public_key(key) for key in keys.trusted))
        table = ("[fleet]", f'listen = ["{relay.address}"]', f'relay = "unix:{relay.issuer_socket}"')
        host.issuer.configure(replace(host.issuer_settings, tables=table))
        agents = {name: PlayedAgent(name, relay.address, public) for name in names}
        async with open_state(host.issuer.state_dir / JOURNAL, may_write=True) as state:
            for agent in agents.values():
                await state.fleet.record_node(agent.enrolled)
        if is_relay_up:
            await stack.enter_async_context(relay)
        tasks = [asyncio.create_task(agent.run()) for agent in agents.values()]
        try:
            yield PlayedFleet(host, relay, agents)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
