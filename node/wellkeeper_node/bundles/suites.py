"""The kinds of HPKE (RFC 9180) that wrap the key of a bundle, and what a wrap and a ciphertext are bound to.

The name of a kind is in the wrap, so that a post-quantum one can come without a change for all nodes at once.
"""

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from wellkeeper_node.bundles import content
from wellkeeper_node.bundles.model import Version

NONCE_BYTES: Final = 12
X25519: Final = "X25519-HKDF-SHA256-AES-256-GCM"
SUITES: Final[Mapping[str, Suite]] = {X25519: Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)}


def wrap_info(sealing_key: bytes, lineage: str, version: Version, ciphertext_sha256: str) -> bytes:
    """Return HPKE's `info`: a wrap opens only for this node, lineage, version and ciphertext."""
    key = content.to_base64url(sealing_key)
    return _lines("wellkeeper-wrap-1", key, lineage, str(version.number), version.archive_name, ciphertext_sha256)


def engine_info(node: str, sealing_key: bytes) -> bytes:
    """Return HPKE's `info`: the access to an engine opens only for this node."""
    return _lines("wellkeeper-engine-1", node, content.to_base64url(sealing_key))


def bundle_data(lineage: str, version: Version) -> bytes:
    """Return the additional data of AES-GCM: a ciphertext opens only as this version of this lineage."""
    return _lines("wellkeeper-bundle-1", lineage, str(version.number), version.archive_name)


def _lines(*parts: str) -> bytes:
    """Join what contains no line ends: two lists of parts never give the same bytes."""
    return "\n".join(parts).encode()
