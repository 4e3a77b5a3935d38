"""Bring certificates to nodes: seal each version once, wrap its key per node, list it in the manifest.

    live ──number──▶ sealed, on disk ──▶ manifest, on disk ──▶ records: bundle, wraps, and the manifest last

A crash between two steps costs another sealing. The version that nodes get is the live one, unless the roll-out of that
one was stopped: then the manifest retires it, and lists the former one under a higher number until another is live.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wellkeeper_client.fleet_bodies import NodeBody
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, Record
from wellkeeper_issuer.fleet.held import Held
from wellkeeper_issuer.fleet.manifest import REMEDY, Listed, besides, nearly_full, next_manifest, sign_manifest
from wellkeeper_issuer.fleet.other_issuers import OtherIssuers
from wellkeeper_issuer.fleet.ports import Archive, Bundles, Feeding, Manifests
from wellkeeper_issuer.fleet.restored import Restored
from wellkeeper_issuer.fleet.sealing import Sealed, seal, wrap
from wellkeeper_issuer.fleet.versions import version_of
from wellkeeper_node.bundles import content
from wellkeeper_node.bundles.kept import Kept
from wellkeeper_node.bundles.manifest import MANIFEST_KEY, Entry, Leaves, Manifest
from wellkeeper_node.bundles.model import Version, bundle_key, wrap_key
from wellkeeper_node.certificates import reading
from wellkeeper_node.errors import FleetError, OlderManifestError, WellkeeperError
from wellkeeper_node.model import Pair
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

_Choose = Callable[[str], Awaitable[Sealed | None]]

_OF_NODES: Final = (Kind.NODE, Kind.BUNDLE, Kind.WRAP)


@dataclass(frozen=True, slots=True)
class Disk:
    """The files that distribution keeps."""

    archive: Archive
    bundles: Bundles
    manifests: Manifests


@dataclass(slots=True)
class Distribution:
    """Its calls may overlap. They log what fails for a certificate, and go on: nodes keep what they have."""

    feed: Feeding
    disk: Disk
    fleet_key: Ed25519PrivateKey
    nodes: Callable[[], Mapping[str, NodeBody]]
    clock: Clock
    # The public half of `fleet_key`, and its successor, which nodes learn.
    fleet_keys: tuple[str, ...] = ()
    restored: Restored = field(default_factory=Restored)
    others: OtherIssuers | None = None
    held: Held = field(init=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    # Certificates to be offered.
    _waiting: set[str] = field(default_factory=set)
    # The digest of the ciphertext that each record in the relay is about.
    _sent: dict[str, str] = field(default_factory=dict)
    _kept: Kept | None = None
    _offered: bytes | None = None
    _is_nearly_full: bool = False

    def __post_init__(self) -> None:
        self.held = Held(self.clock)

    @property
    def listed(self) -> Mapping[str, Entry]:
        """The certificates of the manifest in force."""
        return self._kept.manifest.lineages if self._kept else {}

    @property
    def is_outdated(self) -> bool:
        """True once a node has offered a manifest that may be newer than ours."""
        return self._offered is not None

    def hear(self, stored: Stored) -> None:
        """Note a manifest in the relay that is not the one in force; a node may have one from before a restore."""
        if self._kept is None or stored.value != self._kept.message:
            self._offered = stored.value

    async def learn(self) -> Manifest | None:
        """Return the newest manifest, also of those that nodes offered."""
        async with self._lock:
            await self._learn()
        return self._kept.manifest if self._kept else None

    async def refresh(self, lineages: Collection[str]) -> None:
        """Send all that nodes should have of these certificates, and nothing else. Idempotent; at least daily."""
        async with self._lock:
            await self._learn()
            lineages = self._received(lineages)
            sealed = [one for one in [await self._guarded(name, self._current) for name in lineages] if one]
            await self._send(sealed)
            for name in set(self.listed) - set(lineages):
                await asyncio.to_thread(self.disk.bundles.remove, name)
            kept = {name: entry for name, entry in self.listed.items() if name in lineages}
            await self._list(kept | {one.bundle.lineage: one.entry for one in sealed}, lineages)
            await self.feed.keep_only(self._keys(), *_OF_NODES)

    async def offer(self, lineage: str) -> None:
        """Send the live version of the certificate to its nodes, as nginx has loaded it here. Idempotent.

        Certificates that are offered at the same time are listed in one manifest, so that nodes load them together.
        """
        if self.restored.is_waiting or (self.others is not None and await self.others.have_replaced()):
            return  # a later refresh sends it
        self._waiting.add(lineage)
        self.held.release(lineage)
        await asyncio.sleep(0)  # those that one reload loaded here come one after another
        async with self._lock:
            some, self._waiting = self._waiting, set()
            try:
                await self._send_live(some)
            except BaseException:
                self._waiting |= some  # the next one tries it again
                raise

    def _received(self, lineages: Collection[str]) -> list[str]:
        """Return those that a node gets: the others would fill the manifest."""
        bodies = self.nodes().values()
        return [name for name in lineages if any(body.gets(name) for body in bodies)]

    async def _send_live(self, some: Collection[str]) -> None:
        received = self._received(some)
        if not received:
            return
        await self._learn()
        sealed = [one for one in [await self._guarded(name, self._live) for name in received] if one]
        if sealed:
            await self._send(sealed)
            new = {one.bundle.lineage: one.entry for one in sealed}
            await self._list({**self.listed, **new}, new.keys())

    async def go_back(self, lineage: str) -> bool:
        """Send the former version of the certificate, under a higher number; return whether there is one.

        Only from the live version: a roll-out is stopped once.
        """
        async with self._lock:
            await self._learn()
            sealed, before = await self._guarded(lineage, self._former), self.listed.get(lineage)
            if sealed is not None:
                await self._send([sealed])
                stopped = frozenset({before.leaf_sha256} if before else ())
                await self._list({**self.listed, lineage: sealed.entry}, [lineage], {lineage: stopped})
            return self.listed.get(lineage) != before

    async def _guarded(self, lineage: str, choose: _Choose) -> Sealed | None:
        try:
            return await choose(lineage)
        except WellkeeperError as error:
            _log.error("nodes do not get certificate %s: %s", lineage, error)
        known = await asyncio.to_thread(self.disk.bundles.read, lineage)
        return known if known is not None and known.entry == self.listed.get(lineage) else None

    async def _current(self, lineage: str) -> Sealed | None:
        """Return the version that nodes should have; None while there is none of a CA."""
        known, live = self.listed.get(lineage), await self.disk.archive.live(lineage)
        if known is None:
            return await self._live(lineage)
        if live is None or self.held.has(lineage, live) or await self._is_stopped(lineage, live):
            return await self._sealed(lineage, known.version)
        return await self._live(lineage)

    async def _is_stopped(self, lineage: str, live: str) -> bool:
        retired = self._kept.manifest.retire.get(lineage) if self._kept else None
        pair = await self.disk.archive.read(lineage, live) if retired else None
        return pair is not None and reading.read_certificate(pair.chain_pem).fingerprint_sha256 in (retired or ())

    async def _live(self, lineage: str) -> Sealed | None:
        """Return the live version, unless it is kept from nodes."""
        live = await self.disk.archive.live(lineage)
        if live is None or self.held.has(lineage, live) or self.restored.keeps(lineage, live, self.listed):
            return None
        return await self._sealed(lineage, await self._numbered(lineage, live))

    async def _former(self, lineage: str) -> Sealed | None:
        known, live = self.listed.get(lineage), await self.disk.archive.live(lineage)
        if known is None or known.version.archive_name != live:
            return None
        for name in reversed(await self.disk.archive.versions(lineage)):
            if name != live and (sealed := await self._sealed(lineage, await self._numbered(lineage, name))):
                return sealed
        return None

    async def _numbered(self, lineage: str, archive_name: str) -> Version:
        manifest = self._kept.manifest if self._kept else None
        return version_of(lineage, archive_name, await self.disk.archive.newest(lineage), manifest)

    async def _sealed(self, lineage: str, version: Version) -> Sealed | None:
        """Return the sealed version; a placeholder, or one that is missing, is none. Raises FleetError."""
        known = await asyncio.to_thread(self.disk.bundles.read, lineage)
        if known is not None and known.entry.version == version:
            return known
        pair = await self.disk.archive.read(lineage, version.archive_name)
        if pair is None or reading.read_certificate(pair.chain_pem).is_self_signed:
            return None
        sealed = self._seal(lineage, version, pair)
        await self.disk.archive.record_newest(lineage, version)
        await asyncio.to_thread(self.disk.bundles.write, sealed)
        return sealed

    def _seal(self, lineage: str, version: Version, pair: Pair) -> Sealed:
        identifiers = reading.read_certificate(pair.chain_pem).identifiers
        return seal(lineage, version, pair, identifiers, self.clock.now())

    async def _send(self, sealed: Collection[Sealed]) -> None:
        """Store what is new: records of nodes, bundles, and a wrap for each node that gets the certificate."""
        nodes, now = self.nodes(), int(self.clock.now().timestamp())
        some = [(f"{name}:{body}", node_record(name, body, now)) for name, body in nodes.items()]
        for one in sealed:
            some.append((one.bundle.sha256, one.bundle.to_record(now)))
            some += [wrapped for name, body in nodes.items() for wrapped in self._wraps(one, name, body, now)]
            await asyncio.sleep(0)  # to wrap for many nodes takes milliseconds
        new = [(digest, record) for digest, record in some if self._sent.get(record.key) != digest]
        await self.feed.put(*(record for _, record in new))
        self._sent |= {record.key: digest for digest, record in new}

    def _wraps(self, sealed: Sealed, node: str, body: NodeBody, now: int) -> list[tuple[str, Record]]:
        """Return the wrap for the node, and what it is made of; none if the node must not have it, or has it."""
        lineage = sealed.bundle.lineage
        if not body.gets(lineage):
            return []
        digest = f"{sealed.entry.ciphertext_sha256}{body.sealing_key}"
        if self._sent.get(wrap_key(node, lineage)) == digest:
            return []
        try:
            return [(digest, wrap(sealed, node, content.from_base64url(body.sealing_key)).to_record(now))]
        except ValueError as error:
            _log.error("node %r does not get certificate %s: its sealing key cannot be used: %s", node, lineage, error)
            return []

    def _keys(self) -> set[str]:
        """Return the keys of the records that nodes should have; the others are not sent any more."""
        nodes = self.nodes()
        wraps = {wrap_key(name, one) for name, body in nodes.items() for one in self.listed if body.gets(one)}
        wanted = wraps | {bundle_key(one) for one in self.listed} | {f"{Kind.NODE}/{name}" for name in nodes}
        self._sent = {key: digest for key, digest in self._sent.items() if key in wanted}
        return wanted

    async def _list(
        self, lineages: Mapping[str, Entry], checked: Collection[str], stopped: Leaves | None = None
    ) -> None:
        """Sign a manifest of these certificates if it is due, keep it, and send the one in force.

        What nodes must not keep of the `checked` ones is read again; `stopped` are leaves whose roll-out stops now.
        """
        known = self._kept.manifest if self._kept else None
        retire = {**(known.retire if known else {}), **(stopped or {})}
        disown = dict(known.disown if known else {})
        for name in checked:
            try:
                disown[name] = await self.disk.archive.unwanted(name, self.clock.now())
            except WellkeeperError as error:
                _log.error("cannot find out which versions of %s are unwanted, so nodes keep them: %s", name, error)
        listed = Listed(lineages, besides(lineages, retire), besides(lineages, disown), self.fleet_keys)
        manifest = next_manifest(known, listed, int(self.clock.now().timestamp()))
        if manifest is not None:
            message = sign_manifest(manifest, self.fleet_key)
            self._kept = await asyncio.to_thread(self.disk.manifests.take, message)
            self._warn(nearly_full(message, manifest))
        if self._kept is not None:
            expires_at = self._kept.manifest.to_record().expires_at
            await self.feed.put_signed(Stored(MANIFEST_KEY, self._kept.message, float(expires_at)))

    def _warn(self, fullness: str) -> None:
        """Log once that the manifest nears its limit."""
        if fullness and not self._is_nearly_full:
            _log.warning("%s. %s", fullness, REMEDY)
        self._is_nearly_full = bool(fullness)

    async def _learn(self) -> None:
        """Read the manifest in force, and take the one that was offered if it is newer."""
        # A process that still had the former fleet key may have signed the last one.
        self._kept = await asyncio.to_thread(self.disk.manifests.read) or self._kept
        offered, self._offered = self._offered, None
        if offered is not None and (self._kept is None or offered != self._kept.message):
            try:
                self._kept = await asyncio.to_thread(self.disk.manifests.take, offered)
            except OlderManifestError:
                return
            except FleetError as error:
                _log.error("ignored a manifest in the relay: %s", error)


def node_record(name: str, body: NodeBody, now: int) -> Record:
    """Return the record that lets the node follow the relay and report."""
    return Record(f"{Kind.NODE}/{name}", now, now, now + Kind.NODE.lifetime_seconds, body.to_json())
