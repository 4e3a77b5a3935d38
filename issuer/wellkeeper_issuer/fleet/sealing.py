"""Seal a certificate once for all nodes, and wrap its key for each of them.

`wellkeeper_node.bundles.opening` has what a node checks when it opens the bundle.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from secrets import token_bytes
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wellkeeper_node.bundles import suites
from wellkeeper_node.bundles.checking import check_certificate
from wellkeeper_node.bundles.manifest import Entry
from wellkeeper_node.bundles.model import LONGEST_BUNDLE, Bundle, SealedBundle, Version, Wrap
from wellkeeper_node.bundles.opening import refusing
from wellkeeper_node.certificates import reading
from wellkeeper_node.model import Identifier, Pair

_KEY_BITS: Final = 256


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed bundle with its key, and the entry of the manifest that makes nodes accept it."""

    bundle: SealedBundle
    entry: Entry
    key: bytes = field(repr=False)


def seal(lineage: str, version: Version, pair: Pair, identifiers: Iterable[Identifier], now: datetime) -> Sealed:
    """Seal the pair, a certificate for these identifiers, with a new key.

    Sealing a version again gives another ciphertext, which needs another manifest. Raises FleetError for a pair that
    nodes would refuse.
    """
    with refusing(f"cannot seal the certificate of {lineage}"):
        bundle = Bundle(lineage, version, frozenset(identifiers), _normalised(pair))
        leaf = check_certificate(bundle, now)
        plaintext = bundle.to_bytes()
        if len(plaintext) > LONGEST_BUNDLE:
            raise ValueError(f"it has {len(plaintext)} bytes with its chain and key, at most {LONGEST_BUNDLE} fit")
    key, nonce = AESGCM.generate_key(_KEY_BITS), token_bytes(suites.NONCE_BYTES)
    ciphertext = nonce + AESGCM(key).encrypt(nonce, plaintext, suites.bundle_data(lineage, version))
    sealed = SealedBundle(lineage, version, ciphertext)
    return Sealed(sealed, Entry(version, sealed.sha256, leaf), key)


def wrap(sealed: Sealed, node: str, sealing_key: bytes) -> Wrap:
    """Wrap the key of the bundle for a node with this X25519 public key, 32 raw bytes that `parse_line` accepted."""
    bundle = sealed.bundle
    info = suites.wrap_info(sealing_key, bundle.lineage, bundle.version, sealed.entry.ciphertext_sha256)
    public = X25519PublicKey.from_public_bytes(sealing_key)
    wrapped_key = suites.SUITES[suites.X25519].encrypt(sealed.key, public, info)
    return Wrap(node, bundle.lineage, bundle.version, suites.X25519, wrapped_key)


def _normalised(pair: Pair) -> Pair:
    """Return the pair without text between the certificates. Raises ValueError when it is not PEM."""
    leaf_pem, rest = reading.split_chain(pair.chain_pem)
    key_pem = reading.normalise_pem(pair.certificate_key_pem) if pair.certificate_key_pem else b""
    return Pair(key_pem, leaf_pem + rest)
