"""The issuer's feed and reports in this process, without files, and the process that plays the nodes."""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.ca import Ca, dns
from bench.fleet.lineages import names
from bench.fleet.shape import Shape, sealing_key, signing_key
from bench.responder import Signer, new_tokens
from stand.processes import PROJECT, StandError
from stand.relay import RelayProcess
from wellkeeper_client.fleet_bodies import NodeBody, PublicationBody
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, Record
from wellkeeper_client.signing import encode_public_key
from wellkeeper_issuer.fleet.distribution import node_record
from wellkeeper_issuer.fleet.feed import Feed
from wellkeeper_issuer.fleet.manifest import sign_manifest
from wellkeeper_issuer.fleet.reports import Reports
from wellkeeper_issuer.fleet.sealing import Sealed, seal, wrap
from wellkeeper_node.bundles import content
from wellkeeper_node.bundles.manifest import MANIFEST_KEY, Entry, Manifest
from wellkeeper_node.bundles.model import SealedBundle, Version
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.records.relay import RelayRecords

_SECONDS: Final = 600.0


@dataclass(slots=True)
class PlayedIssuer:
    """The issuer's feed and reports, with records that need no files."""

    shape: Shape
    key: Ed25519PrivateKey
    feed: Feed
    reports: Reports
    sealed: Sealed
    number: int

    async def store(self) -> None:
        """Store records of nodes, bundles, wraps, and the manifest; all bundles have the same content."""
        now, shape, version = int(time.time()), self.shape, self.sealed.entry.version
        one = wrap(self.sealed, shape.node(0), sealing_key(0).public_key().public_bytes_raw())
        await self.feed.put(
            *(node_record(shape.node(number), body(shape, number), now) for number in range(shape.nodes))
        )
        bundles = (SealedBundle(name, version, self.sealed.bundle.ciphertext) for name in names(shape.lineages))
        await self.feed.put(*(each.to_record(now) for each in bundles))
        nodes = [(shape.node(number), shape.lineages_of(number)) for number in range(shape.nodes)]
        wraps = (replace(one, node=node, lineage=name) for node, lineages in nodes for name in lineages)
        await self.feed.put(*(each.to_record(now) for each in wraps))
        await self.list()
        await self.filled()

    async def list(self) -> int:
        """Send a newer manifest of all lineages, and return its bytes."""
        self.number = max(self.number + 1, int(time.time()))
        entry = Entry(self.sealed.entry.version, self.sealed.entry.ciphertext_sha256, self.shape.leaf)
        made = Manifest(self.number, int(time.time()), dict.fromkeys(names(self.shape.lineages), entry), {}, {})
        message = sign_manifest(made, self.key)
        await self.feed.put_signed(Stored(MANIFEST_KEY, message, float(made.to_record().expires_at)))
        return len(message)

    async def publish(self, signer: Signer) -> str:
        """Publish a token to all nodes, and return the id of the publication."""
        now, jti = int(time.time()), secrets.token_urlsafe(16)
        message = signer.sign(new_tokens(1)[0])
        record = Record(f"{Kind.PUBLICATION}/{jti}", 1, now, now + 600, PublicationBody(message).to_json())
        await self.feed.put(record)
        return jti

    async def filled(self) -> None:
        if not await self.feed.wait_until_filled(seconds=_SECONDS):
            raise StandError(f"the relay does not have everything: {self.feed.failure}")

    async def until_all(self, what: str, is_true: Callable[[Any], bool]) -> float:
        """Return the seconds until the last reports of all nodes have it. Raises StandError."""
        began = time.perf_counter()

        def is_over() -> bool:
            last = self.reports.last
            return len(last) == self.shape.nodes and all(is_true(seen.report) for seen in last.values())

        if not await self.reports.until(is_over, _SECONDS):
            count = sum(is_true(seen.report) for seen in self.reports.last.values())
            raise StandError(f"not within {_SECONDS:g} s: {what}; {count} of {self.shape.nodes} nodes report it")
        return time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class Played:
    """The process that plays the nodes."""

    process: asyncio.subprocess.Process

    async def traffic(self) -> dict[str, int]:
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise StandError("the nodes were started without pipes")
        stdin.write(b"\n")
        found: dict[str, int] = json.loads(await stdout.readline())
        return found


def body(shape: Shape, number: int) -> NodeBody:
    """Return what the record of the node says."""
    signing = encode_public_key(signing_key(number).public_key())
    sealing = content.to_base64url(sealing_key(number).public_key().public_bytes_raw())
    return NodeBody(signing, sealing, tuple(shape.lineages_of(number)))


@asynccontextmanager
async def issuing(shape: Shape, relay: RelayProcess, key: Ed25519PrivateKey) -> AsyncIterator[PlayedIssuer]:
    clock, now = SystemClock(), datetime.now(UTC)
    bodies = {shape.node(number): body(shape, number) for number in range(shape.nodes)}
    reports = Reports(lambda: bodies, clock)
    lineage = names(1)[0]
    sealed = seal(lineage, Version(1, "20260301T110000Z-0123abcd"), Ca(now).pair([dns(lineage)]), [dns(lineage)], now)
    records = RelayRecords(f"unix:{relay.issuer_socket}", clock)
    feed = Feed(records, key, clock, {Kind.REPORT: reports.take})
    following = asyncio.create_task(feed.run())
    try:
        await feed.wait(seconds=_SECONDS)
        yield PlayedIssuer(shape, key, feed, reports, sealed, 0)
    finally:
        following.cancel()
        await asyncio.wait([following])
        await records.close()


@asynccontextmanager
async def playing(shape: Shape, relay: RelayProcess) -> AsyncIterator[Played]:
    arguments = (relay.host, relay.port, shape.nodes, shape.each, shape.lineages)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.fleet.played", *map(str, arguments), cwd=PROJECT, stdin=pipe, stdout=pipe
    )
    try:
        yield Played(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
