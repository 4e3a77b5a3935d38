"""The fleet keys that this node trusts: those of its trust file, until a manifest names the ones that follow them.

    trust file: C N ── signed by C: C N ──▶ C N ── signed by N: N N2 ──▶ N N2 ── signed by N2: N2 N3 ──▶ …

The key that signs a manifest may name its successor once, and only a key that was named before may follow it. So a
thief with the current key cannot replace the next one. Another trust file replaces all that was learned: a person wrote
it. Blocking.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client.signing import decode_public_key, key_id
from wellkeeper_node import durable
from wellkeeper_node.errors import FleetError

FILE: Final = "fleet_keys.json"
_MODE: Final = 0o600
_TRUST_FILE: Final = "trust_file"
_KEYS: Final = "keys"


class LearnedKeys:
    """The file; `written` are the fleet keys of the trust file, base64url of raw Ed25519 public keys, in order."""

    def __init__(self, state_dir: Path, written: Sequence[str]) -> None:
        self._path = state_dir / FILE
        self._written = tuple(written)

    @property
    def trusted(self) -> tuple[str, ...]:
        """The keys that this node trusts, in the order of their use. Raises InstallError."""
        with durable.translated(self._path):
            try:
                found = json.loads(self._path.read_bytes())
                keys, written = tuple(map(str, found[_KEYS])), tuple(found[_TRUST_FILE])
                by_id(keys)
            except (FileNotFoundError, ValueError, KeyError, TypeError):
                return self._written
        return keys if keys and written == self._written else self._written

    def learn(self, signer: str, named: Sequence[str]) -> None:
        """Keep durably what a manifest names that the key with the id `signer` has signed. Idempotent.

        Raises FleetError for keys that must not follow those that are known, and InstallError.
        """
        known = self.trusted
        if not named or tuple(named) == known:
            return
        if not _may_follow(known, signer, tuple(named)):
            why = "the manifest names keys other than the one that signed it and the known next key"
            raise FleetError("ignored new fleet keys", why, "Run 'wellkeeper key list' on the issuer's host.")
        text = json.dumps({_TRUST_FILE: self._written, _KEYS: list(named)}).encode()
        with durable.translated(self._path):
            durable.replace_whole(self._path, text, _MODE)


def _may_follow(known: tuple[str, ...], signer: str, named: tuple[str, ...]) -> bool:
    """Return whether the first one signed, is known, and has no other known successor than the second one."""
    ids = list(by_id(known))
    if signer not in ids or next(iter(by_id(named))) != signer:
        return False
    following = known[ids.index(signer) + 1 :][:1]
    return not following or following == named[1:2]


def by_id(keys: Sequence[str]) -> Mapping[str, Ed25519PublicKey]:
    """Return the keys by key id. Raises ValueError."""
    return {key_id(key): key for key in map(decode_public_key, keys)}
