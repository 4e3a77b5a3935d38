"""Measurement: seal a certificate for N nodes: the bundle once, a wrap for each, all as signed records."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from bench.ca import Ca, dns
from bench.figures import Plan, Result, Series, Tell, find, ratio_at_most
from wellkeeper_client import records
from wellkeeper_client.records import Kind
from wellkeeper_client.signing import key_id
from wellkeeper_issuer.fleet.manifest import Listed, next_manifest, sign_manifest
from wellkeeper_issuer.fleet.sealing import Sealed, seal, wrap
from wellkeeper_node.bundles.manifest import Manifest, read_manifest
from wellkeeper_node.bundles.model import Version, read_sealed, read_wrap
from wellkeeper_node.bundles.opening import open_bundle
from wellkeeper_node.model import Pair

NAME: Final = "sealing"
_NODES: Final = (3, 20, 100)
_BUNDLES: Final = 10
_ARCHIVE_NAME: Final = "20260301T110000Z-0123abcd"
_NAMES: Final = tuple(dns(f"www{number}.example.test") for number in range(10))
_HOW: Final = (
    f"A chain of two certificates for {len(_NAMES)} names with an ECDSA key. Sealing includes the checks of the pair, "
    "and signing the records. Opening includes the signatures of bundle and wrap and the checks of the pair. The "
    "yardstick wraps 32 bytes for each node with HPKE alone. All in one process, on one core."
)


@dataclass(frozen=True, slots=True)
class _Fleet:
    fleet_key: Ed25519PrivateKey
    node_keys: tuple[X25519PrivateKey, ...]
    pair: Pair
    now: datetime

    @property
    def time(self) -> int:
        return int(self.now.timestamp())

    @property
    def public_keys(self) -> list[bytes]:
        return [key.public_key().public_bytes_raw() for key in self.node_keys]


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:  # noqa: ARG001 - as all measurements
    """Measure the issuer for each number of nodes, one node, and the manifest."""
    now = datetime.now(UTC)
    fleet_key = Ed25519PrivateKey.generate()
    series: list[Series] = []
    for count in _NODES:
        tell(f"sealing: {count} nodes")
        node_keys = tuple(X25519PrivateKey.generate() for _ in range(count))
        series += _sealing(_Fleet(fleet_key, node_keys, Ca(now).pair(_NAMES), now), plan.rounds)
    tell("sealing: one node, manifest")
    fleet = _Fleet(fleet_key, (X25519PrivateKey.generate(),), Ca(now).pair(_NAMES), now)
    series += [_opening(fleet, plan.rounds), *_manifest(fleet, plan)]
    group = f"seal for {_NODES[-1]} nodes"
    goal = ratio_at_most(find(series, group, "wellkeeper"), find(series, group, "HPKE alone"), 2.5)
    return Result(NAME, "Sealing a certificate for nodes", tuple(series), (goal,), (_HOW,))


def _sealing(fleet: _Fleet, rounds: int) -> list[Series]:
    publics = fleet.public_keys
    suite, keys = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM), [key.public_key() for key in fleet.node_keys]
    ours, alone = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(_BUNDLES):
            _seal_for(fleet, publics)
        ours.append(_milliseconds_since(began))
        began = time.perf_counter()
        for _ in range(_BUNDLES):
            for key in keys:
                suite.encrypt(bytes(32), key, b"info")
        alone.append(_milliseconds_since(began))
    group = f"seal for {len(publics)} nodes"
    return [Series(group, "wellkeeper", "ms", tuple(ours)), Series(group, "HPKE alone", "ms", tuple(alone))]


def _seal_for(fleet: _Fleet, publics: list[bytes]) -> tuple[Sealed, str, list[str]]:
    """Return the sealed bundle, its record, and the record of each wrap."""
    sealed = seal("web", Version(1, _ARCHIVE_NAME), fleet.pair, _NAMES, fleet.now)
    wraps = [wrap(sealed, f"node{number}", public) for number, public in enumerate(publics)]
    bundle = records.sign(sealed.bundle.to_record(fleet.time), fleet.fleet_key)
    return sealed, bundle, [records.sign(one.to_record(fleet.time), fleet.fleet_key) for one in wraps]


def _opening(fleet: _Fleet, rounds: int) -> Series:
    sealed, bundle, (wrapped,) = _seal_for(fleet, fleet.public_keys)
    manifest = _manifest_of(Listed({"web": sealed.entry}), fleet)
    keys = {key_id(fleet.fleet_key.public_key()): fleet.fleet_key.public_key()}
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(_BUNDLES):
            checked_bundle = read_sealed(records.check(bundle.encode(), keys, Kind.BUNDLE, fleet.time))
            checked_wrap = read_wrap(records.check(wrapped.encode(), keys, Kind.WRAP, fleet.time))
            open_bundle(manifest, checked_bundle, checked_wrap, fleet.node_keys[0], fleet.now)
        found.append(_milliseconds_since(began))
    return Series("open and check", "one node", "ms", tuple(found))


def _manifest(fleet: _Fleet, plan: Plan) -> list[Series]:
    entry = seal("web", Version(1, _ARCHIVE_NAME), fleet.pair, _NAMES, fleet.now).entry
    listed = Listed({f"www{number}.example.test": entry for number in range(plan.lineage_count)})
    keys = {key_id(fleet.fleet_key.public_key()): fleet.fleet_key.public_key()}
    signing, reading, size = [], [], 0
    for _ in range(plan.rounds):
        began = time.perf_counter()
        message = sign_manifest(_manifest_of(listed, fleet), fleet.fleet_key)
        signing.append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        read_manifest(records.check(message, keys, Kind.MANIFEST, fleet.time))
        reading.append((time.perf_counter() - began) * 1e3)
        size = len(message)
    group = f"manifest of {plan.lineage_count} certificates"
    return [
        Series(group, "sign", "ms", tuple(signing)),
        Series(group, "check", "ms", tuple(reading)),
        Series(group, "size", "KiB", (size / 1024,)),
    ]


def _manifest_of(listed: Listed, fleet: _Fleet) -> Manifest:
    manifest = next_manifest(None, listed, fleet.time)
    if manifest is None:
        raise ValueError("the first manifest is always due")
    return manifest


def _milliseconds_since(began: float) -> float:
    return (time.perf_counter() - began) / _BUNDLES * 1e3
