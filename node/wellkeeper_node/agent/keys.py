"""The two keys of a node, and the line with their public halves.

The signing key (Ed25519) signs requests and reports; bundles are sealed to the sealing key (X25519). Both are made on
the node, readable by their owner only, and never copied. Blocking, but fast.
"""

import base64
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from wellkeeper_client import permissions
from wellkeeper_node import durable, presence, rights
from wellkeeper_node.bundles.content import to_base64url
from wellkeeper_node.errors import FleetError

PREFIX: Final = "wkn1:"
_KEY_BYTES: Final = 32
# Two keys of 32 bytes: 86 characters of base64url, of which the last has four spare bits.
_LINE: Final = re.compile(f"{PREFIX}([A-Za-z0-9_-]{{85}}[AQgw])")
_SIGNING: Final = "signing_key.pem"
_SEALING: Final = "sealing_key.pem"
# In the order in which they are made, and become the current ones.
_NEXT: Final = {_SIGNING: "signing_key.next.pem", _SEALING: "sealing_key.next.pem"}
# The file that is made last.
PREPARED: Final = _NEXT[_SEALING]
_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class NodePublic:
    """The public keys of a node, 32 raw bytes each."""

    signing_key: bytes
    sealing_key: bytes

    @property
    def line(self) -> str:
        """Return both keys as one word, which the issuer needs and which is not secret."""
        return PREFIX + to_base64url(self.signing_key + self.sealing_key)

    @property
    def texts(self) -> tuple[str, str]:
        """Return both keys in base64url, as the node's record has them."""
        return to_base64url(self.signing_key), to_base64url(self.sealing_key)


def parse_line(text: str) -> NodePublic:
    """Reverse `NodePublic.line`. Raises ValueError, also for a key to which nothing can be sealed."""
    match = _LINE.fullmatch(text)
    if match is None:
        raise ValueError(f"expected {PREFIX} and 86 characters of base64url, as the node prints them")
    raw = base64.urlsafe_b64decode(match[1] + "==")
    public = NodePublic(raw[:_KEY_BYTES], raw[_KEY_BYTES:])
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(public.sealing_key))
    except ValueError as error:
        # One of the few points of low order, with which the shared secret is zero (RFC 7748 section 6.1).
        raise ValueError("its sealing key is not the public key of any node") from error
    return public


class NodeKeys:
    """The keys below a directory of the node, such as /var/lib/wellkeeper-node."""

    def __init__(self, folder: Path, *, is_next: bool = False) -> None:
        self._folder = folder
        self._signing, self._sealing = _NEXT.values() if is_next else _NEXT

    def make(self) -> tuple[Path, ...]:
        """Create the missing keys, durably, and return their paths; an existing one is never replaced.

        Raises InstallError.
        """
        return self._make(_SIGNING, _SEALING)

    def prepare(self) -> tuple[Path, ...]:
        """Create the next keys as `make` does, for the issuer to enrol. Raises FleetError and InstallError."""
        _ = self.public
        self.finish()
        return self._make(*_NEXT.values())

    @property
    def following(self) -> "NodeKeys | None":
        """The next keys, if both are there."""
        with durable.translated(self._folder):
            has_both = all(presence.exists(self._folder / name) for name in _NEXT.values())
        return NodeKeys(self._folder, is_next=True) if has_both else None

    def take_next(self) -> None:
        """Replace the keys with the next ones, by two renames. Raises InstallError."""
        with durable.translated(self._folder):
            for current, following in _NEXT.items():
                if presence.exists(self._folder / following):
                    os.replace(self._folder / following, self._folder / current)  # noqa: PTH105 - names the operation
                    durable.sync(self._folder)

    def finish(self) -> None:
        """Complete a `take_next` that was killed between its renames. Raises InstallError."""
        with durable.translated(self._folder):
            is_halfway = presence.exists(self._folder / _NEXT[_SEALING])
            is_halfway = is_halfway and not presence.exists(self._folder / _NEXT[_SIGNING])
        if is_halfway:
            self.take_next()

    def _make(self, signing: str, sealing: str) -> tuple[Path, ...]:
        made = []
        with durable.translated(self._folder):
            durable.make_folder(self._folder, 0o700, durable.Owner())
            for name, make in ((signing, Ed25519PrivateKey.generate), (sealing, X25519PrivateKey.generate)):
                path = self._folder / name
                if not presence.exists(path):
                    durable.create_whole(path, _pem(make()), _MODE)
                    made.append(path)
        return tuple(made)

    def delete(self) -> None:
        """Delete the keys, durably. Idempotent; raises OSError."""
        for name in (_SIGNING, _SEALING, *_NEXT.values()):
            (self._folder / name).unlink(missing_ok=True)
        if presence.is_dir(self._folder):
            durable.sync(self._folder)

    @property
    def signing_key(self) -> Ed25519PrivateKey:
        """The Ed25519 key. Raises FleetError when it is missing, damaged, or accessible to other users."""
        key = _read(self._folder / self._signing)
        if not isinstance(key, Ed25519PrivateKey):
            raise _unusable(self._folder / self._signing, "it is not an Ed25519 key")
        return key

    @property
    def sealing_key(self) -> X25519PrivateKey:
        """The X25519 key. Raises FleetError as `signing_key` does."""
        key = _read(self._folder / self._sealing)
        if not isinstance(key, X25519PrivateKey):
            raise _unusable(self._folder / self._sealing, "it is not an X25519 key")
        return key

    @property
    def public(self) -> NodePublic:
        """The public halves. Raises FleetError as `signing_key` does."""
        keys = (self.signing_key, self.sealing_key)
        return NodePublic(*(key.public_key().public_bytes_raw() for key in keys))


def _pem(key: Ed25519PrivateKey | X25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read(path: Path) -> PrivateKeyTypes:
    if fault := permissions.find_fault(path):
        raise FleetError(f"cannot trust {path}", fault.why, fault.remedy)
    if permissions.is_readable_by_others(path):
        raise FleetError(f"cannot trust {path}", "other users may read it", f"Run 'chmod go= {path}'.")
    try:
        return load_pem_private_key(rights.read_file(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable(path, f"it is not an unencrypted PEM key: {error}") from error
    except OSError as error:
        raise FleetError(f"cannot read the key of this node {path}", error.strerror or str(error)) from error


def _unusable(path: Path, why: str) -> FleetError:
    return FleetError(
        f"cannot use the key of this node {path}",
        why,
        "Move it away, then run 'wellkeeper-node join' with a new invite.",
    )
