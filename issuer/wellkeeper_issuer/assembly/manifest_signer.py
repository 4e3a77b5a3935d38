"""The fleet key that has signed the manifest in force: without it, the issuer cannot read that manifest."""

import asyncio
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client import compact_jws
from wellkeeper_client.records import Kind
from wellkeeper_client.signing import key_id
from wellkeeper_node.ports import Clock

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.ports import Manifests

_PAUSE_SECONDS: Final = 0.5


async def is_signed_by(key: Ed25519PublicKey, manifests: "Manifests", clock: Clock, seconds: float) -> bool:
    """Return whether the key has signed the manifest, within so many seconds; True without one.

    Raises InstallError.
    """
    ends_at = clock.monotonic() + seconds
    while not await asyncio.to_thread(_has_signed, key, manifests):
        if clock.monotonic() >= ends_at:
            return False
        await clock.sleep(_PAUSE_SECONDS)
    return True


def _has_signed(key: Ed25519PublicKey, manifests: "Manifests") -> bool:
    kept = manifests.read()
    return kept is None or compact_jws.key_id_of(kept.message, Kind.MANIFEST.longest) == key_id(key)
