"""Open a sealed bundle, and check everything before nginx or the certificates on disk are touched.

HPKE's base mode authenticates no sender: the manifest, signed by the fleet key, says which ciphertext is the right one.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wellkeeper_client import records
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.records import Kind, Record
from wellkeeper_node.bundles import suites
from wellkeeper_node.bundles.checking import check_certificate
from wellkeeper_node.bundles.manifest import Entry, Manifest
from wellkeeper_node.bundles.model import (
    Bundle,
    SealedBundle,
    Wrap,
    bundle_key,
    parse_bundle,
    read_sealed,
    read_wrap,
    wrap_key,
)
from wellkeeper_node.certificates.chains import ChainFault, DatesFault
from wellkeeper_node.errors import FleetError, WrongBundleError

_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Opener:
    """A node that opens records: its name, the fleet keys that it trusts, by key id, and its sealing key."""

    node: str
    fleet_keys: Mapping[str, Ed25519PublicKey]
    sealing_key: X25519PrivateKey = field(repr=False)

    def open(self, lineage: str, manifest: Manifest, messages: tuple[bytes, bytes], now: datetime) -> Bundle:
        """Return the bundle of this lineage from the messages of bundle and wrap, checked as by `open_bundle`.

        Their dates do not matter: the manifest decides what is right. Raises FleetError.
        """
        with refusing(f"cannot use the bundle of {lineage}"):
            sealed = read_sealed(self._check(messages[0], Kind.BUNDLE, bundle_key(lineage)))
            wrap = read_wrap(self._check(messages[1], Kind.WRAP, wrap_key(self.node, lineage)))
        return open_bundle(manifest, sealed, wrap, self.sealing_key, now)

    def _check(self, message: bytes, kind: Kind, key: str) -> Record:
        """Return the record if a fleet key signed it for this key."""
        try:
            record = records.read(message, self.fleet_keys, kind)
        except MessageError as error:
            raise ValueError(f"the record of its {kind}: {error.detail}") from error
        if record.key != key:
            raise ValueError(f"the record of its {kind} is {record.key!r:.80}, expected {key!r}")
        return record


def open_bundle(
    manifest: Manifest, sealed: SealedBundle, wrap: Wrap, sealing_key: X25519PrivateKey, now: datetime
) -> Bundle:
    """Return the bundle once it is proven to be the version that the manifest lists, and usable now.

    The caller has checked the manifest's signature; safety does not rest on those of `sealed` and `wrap`. Raises
    FleetError: WrongBundleError if no node could use it, but not because of dates, which depend on the clock here.
    """
    what = f"cannot use the bundle of {sealed.lineage}"
    with refusing(what):
        entry = manifest.lineages.get(sealed.lineage)
        if entry is None:
            raise ValueError("the manifest does not list it")
        _check_labels(entry, sealed, wrap)
        key = _unwrap(entry, wrap, sealing_key)
    with refusing(what, WrongBundleError):
        bundle = _decrypt(sealed, key)
        if check_certificate(bundle, now) != entry.leaf_sha256:
            raise ValueError("its certificate is not the one that the manifest lists")
        return bundle


@contextlib.contextmanager
def refusing(what: str, kind: type[FleetError] = FleetError) -> Iterator[None]:
    """Turn the reasons to refuse a bundle into this kind of error, wrong dates into FleetError."""
    try:
        yield
    except DatesFault as fault:
        raise FleetError(what, str(fault), fault.remedy) from fault
    except (ValueError, ChainFault) as fault:
        raise kind(what, str(fault)) from fault


def _check_labels(entry: Entry, sealed: SealedBundle, wrap: Wrap) -> None:
    """Compare with the manifest what can be compared without a key."""
    if sealed.version != entry.version:
        raise ValueError(f"it is version {sealed.version}, the manifest lists {entry.version}")
    if (wrap.lineage, wrap.version) != (sealed.lineage, sealed.version):
        raise ValueError(f"its wrap is for version {wrap.version} of {wrap.lineage}")
    if sealed.sha256 != entry.ciphertext_sha256:
        raise ValueError("its ciphertext is not the one that the manifest lists")


def _unwrap(entry: Entry, wrap: Wrap, sealing_key: X25519PrivateKey) -> bytes:
    """Return the key of the ciphertext."""
    suite = suites.SUITES.get(wrap.suite)
    if suite is None:
        raise ValueError(f"its wrap uses {wrap.suite!r:.60}, which this version of Wellkeeper does not know")
    public = sealing_key.public_key().public_bytes_raw()
    info = suites.wrap_info(public, wrap.lineage, wrap.version, entry.ciphertext_sha256)
    try:
        key = suite.decrypt(wrap.wrapped_key, sealing_key, info)
    except (InvalidTag, ValueError) as error:
        raise ValueError("its wrap does not open with the key of this node") from error
    if len(key) != _KEY_BYTES:
        raise ValueError(f"its wrap contains {len(key)} bytes, expected {_KEY_BYTES}")
    return key


def _decrypt(sealed: SealedBundle, key: bytes) -> Bundle:
    nonce, ciphertext = sealed.ciphertext[: suites.NONCE_BYTES], sealed.ciphertext[suites.NONCE_BYTES :]
    try:
        plaintext = AESGCM(key).decrypt(nonce, ciphertext, suites.bundle_data(sealed.lineage, sealed.version))
    except (InvalidTag, ValueError) as error:
        raise ValueError("its ciphertext does not open with the key in its wrap") from error
    bundle = parse_bundle(plaintext)
    if (bundle.lineage, bundle.version) != (sealed.lineage, sealed.version):
        raise ValueError(f"it contains version {bundle.version} of {bundle.lineage}")
    return bundle
