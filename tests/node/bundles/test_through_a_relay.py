"""The whole way: the issuer puts sealed bundles into a real relay, and nodes open what is theirs."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.fakes import FakeClock
from tests.fakes_deliver import NOW
from tests.fleet import CA, PAIR, TIME, WEB1, WEB2, A, public, version
from tests.relay.conftest import settings
from tests.relay.messages import FLEET_KEY, FLEET_KEYS
from wellkeeper_client import records
from wellkeeper_client.records import Record
from wellkeeper_issuer.fleet.manifest import Listed, next_manifest, sign_manifest
from wellkeeper_issuer.fleet.sealing import Sealed, seal, wrap
from wellkeeper_node.bundles.kept import Kept, ManifestFile
from wellkeeper_node.bundles.manifest import MANIFEST_KEY, Manifest
from wellkeeper_node.bundles.model import Bundle, bundle_key, wrap_key
from wellkeeper_node.bundles.opening import Opener
from wellkeeper_node.errors import FleetError
from wellkeeper_node.model import Pair
from wellkeeper_node.records.port import Records
from wellkeeper_node.records.relay import RelayRecords
from wellkeeper_relay.app import Relay


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Records]:
    made = settings(tmp_path)
    async with Relay(made, FakeClock(NOW)), AsyncExitStack() as stack:
        found = RelayRecords(str(made.issuer), FakeClock(NOW))
        stack.push_async_callback(found.close)
        yield found


@dataclass
class Issuer:
    """Seals each lineage for its nodes, by name, and lists all in the manifest."""

    store: Records
    nodes: dict[str, X25519PrivateKey]
    listed: dict[str, Sealed]
    manifest: Manifest | None = None

    async def deliver(self, lineage: str, number: int, pair: Pair, *nodes: str) -> None:
        sealed = self.listed[lineage] = seal(lineage, version(number), pair, [A], NOW)
        await self._put(sealed.bundle.to_record(TIME))
        for node in nodes:
            await self._put(wrap(sealed, node, public(self.nodes[node])).to_record(TIME))
        listed = Listed({name: one.entry for name, one in self.listed.items()})
        self.manifest = next_manifest(self.manifest, listed, TIME)
        assert self.manifest is not None
        await self._write(MANIFEST_KEY, sign_manifest(self.manifest, FLEET_KEY))

    async def _put(self, record: Record) -> None:
        await self._write(record.key, records.sign(record, FLEET_KEY).encode())

    async def _write(self, key: str, message: bytes) -> None:
        current = await self.store.get(key)
        await self.store.put(key, message, expected=current.version if current else None)


@dataclass
class Node:
    """Reads what is in the relay, and keeps the highest manifest."""

    store: Records
    opener: Opener
    file: ManifestFile

    async def open(self, lineage: str) -> Bundle:
        manifest = await self.follow()
        keys = bundle_key(lineage), wrap_key(self.opener.node, lineage)
        found = [stored.value if stored else b"" for stored in [await self.store.get(key) for key in keys]]
        return self.opener.open(lineage, manifest.manifest, (found[0], found[1]), NOW)

    async def follow(self) -> Kept:
        stored = await self.store.get(MANIFEST_KEY)
        assert stored is not None
        return self.file.take(stored.value)


@pytest.fixture
def issuer(store: Records) -> Issuer:
    return Issuer(store, {"web1": WEB1, "web2": WEB2}, {})


@pytest.fixture
def web1(store: Records, tmp_path: Path) -> Node:
    return Node(store, Opener("web1", FLEET_KEYS, WEB1), ManifestFile(tmp_path / "web1.jws", FLEET_KEYS))


@pytest.fixture
def web2(store: Records, tmp_path: Path) -> Node:
    return Node(store, Opener("web2", FLEET_KEYS, WEB2), ManifestFile(tmp_path / "web2.jws", FLEET_KEYS))


async def test_each_node_opens_the_lineages_that_are_sealed_for_it(issuer: Issuer, web1: Node, web2: Node) -> None:
    await issuer.deliver("web", 1, PAIR, "web1", "web2")
    await issuer.deliver("mail", 1, CA.pair(A), "web2")
    assert (await web1.open("web")).pair == (await web2.open("web")).pair == PAIR
    assert (await web2.open("mail")).lineage == "mail"
    with pytest.raises(FleetError, match="cannot use the bundle of mail: the record of its wrap"):
        await web1.open("mail")


async def test_node_that_was_away_for_three_versions_ends_with_the_newest(issuer: Issuer, web1: Node) -> None:
    await issuer.deliver("web", 1, PAIR, "web1")
    await web1.follow()
    pairs = [CA.pair(A) for _ in range(3)]
    for number, pair in enumerate(pairs, 2):
        await issuer.deliver("web", number, pair, "web1")
    bundle = await web1.open("web")
    assert (bundle.version.number, bundle.pair) == (4, pairs[-1])


async def test_node_that_joins_later_gets_only_a_wrap(issuer: Issuer, web1: Node, web2: Node) -> None:
    await issuer.deliver("web", 1, PAIR, "web1")
    record = wrap(issuer.listed["web"], "web2", public(WEB2)).to_record(TIME)
    await issuer.store.put(record.key, records.sign(record, FLEET_KEY).encode())
    assert (await web2.open("web")).pair == (await web1.open("web")).pair


async def test_node_that_was_removed_cannot_open_the_next_version(issuer: Issuer, web1: Node, web2: Node) -> None:
    await issuer.deliver("web", 1, PAIR, "web1", "web2")
    await web2.open("web")
    await issuer.deliver("web", 2, CA.pair(A), "web1")
    assert (await web1.open("web")).version.number == 2
    with pytest.raises(FleetError, match=r"its wrap is for version 1 \("):
        await web2.open("web")
