"""A small fleet: the issuer's fleet key (that of the relay's tests), two nodes, and certificates sealed for them."""

from dataclasses import replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.fakes_deliver import NOW, FakeCa, dns
from tests.relay.messages import FLEET_KEY
from wellkeeper_issuer.fleet.manifest import sign_manifest
from wellkeeper_issuer.fleet.sealing import Sealed, seal
from wellkeeper_node.bundles.manifest import Entry, Leaves, Manifest
from wellkeeper_node.bundles.model import Version
from wellkeeper_node.model import Pair

TIME: Final = int(NOW.timestamp())
OTHER_FLEET_KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
WEB1: Final = X25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
WEB2: Final = X25519PrivateKey.from_private_bytes(bytes(range(3, 35)))
A, B = dns("a.example"), dns("b.example")
CA: Final = FakeCa()
PAIR: Final = CA.pair(A)
LEAF, OTHER_LEAF = "ab" * 32, "cd" * 32


def public(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def version(number: int = 1, digest: str = "0123abcd") -> Version:
    return Version(number, f"20260301T110000Z-{digest}")


def sealed(lineage: str = "web", number: int = 1, pair: Pair = PAIR) -> Sealed:
    return seal(lineage, version(number), pair, [A], NOW)


def entry(number: int = 1, leaf: str = LEAF) -> Entry:
    return Entry(version(number), "01" * 32, leaf)


def manifest_of(*bundles: Sealed, number: int = 1, retire: Leaves | None = None) -> Manifest:
    entries = {one.bundle.lineage: one.entry for one in bundles}
    return Manifest(number, TIME, entries, retire or {}, {})


def message(manifest: Manifest, key: Ed25519PrivateKey = FLEET_KEY, *, number: int = 1, issued_at: int = TIME) -> bytes:
    return sign_manifest(replace(manifest, number=number, issued_at=issued_at), key)
