"""A signing key in `state_dir` with its successor, and its predecessor until that is retired.

    NAME.pem (signs) ─ prepare ─▶ + NAME.next.pem ─ switch ─▶ NAME.pem + NAME.former.pem ─ retire ─▶ NAME.pem

Readers trust all of them, so they can learn the next key at any time before the switch. Of the former one, only the
public half is kept. Each step is one rename or one deletion, and repeating it changes nothing. Blocking, but fast.
"""

import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys import key_files
from wellkeeper_node import durable, presence
from wellkeeper_node.errors import Retry

FROM_BACKUP: Final = "Restore the key from a backup."


class SigningKey:
    """The files `FILE.pem`, `FILE.next.pem` and `FILE.former.pem`; `kind` is its name in messages and commands."""

    def __init__(self, state_dir: Path, file: str, kind: str, remedy: str = FROM_BACKUP) -> None:
        self._state_dir = state_dir
        self._kind = kind
        self._remedy = remedy
        self.path = state_dir / f"{file}.pem"
        self.next_path = state_dir / f"{file}.next.pem"
        self._former_path = state_dir / f"{file}.former.pem"

    @property
    def current(self) -> Ed25519PrivateKey:
        """The key that signs. Raises SettingsError when it is missing or of another kind."""
        return key_files.read_ed25519_key(self.path, f"{self._kind} key", self._remedy)

    @property
    def following(self) -> Ed25519PublicKey | None:
        """The next key, if there is one. Raises SettingsError."""
        if not self._exists(self.next_path):
            return None
        return key_files.read_ed25519_key(self.next_path, f"{self._kind} key").public_key()

    @property
    def former(self) -> Ed25519PublicKey | None:
        """The key before the last switch, until it is retired. Raises SettingsError."""
        if not self._exists(self._former_path):
            return None
        key_files.check_access(self._former_path)
        with key_files.translated(self._former_path):
            try:
                key = load_pem_public_key(self._former_path.read_bytes())
            except (ValueError, UnsupportedAlgorithm) as error:
                raise _damaged(self._former_path, str(error)) from error
        if not isinstance(key, Ed25519PublicKey):
            raise _damaged(self._former_path, "it is not an Ed25519 key")
        # A switch that was interrupted has written it, and the key still signs.
        return None if key.public_bytes_raw() == self.current.public_key().public_bytes_raw() else key

    @property
    def trusted(self) -> tuple[Ed25519PublicKey, ...]:
        """The current key, then the next and the former one, as far as they exist. Raises SettingsError."""
        return tuple(key for key in (self.current.public_key(), self.following, self.former) if key is not None)

    def prepare(self) -> bool:
        """Create the next key, durably; return False if there is one. Raises SettingsError."""
        _ = self.current
        if self._exists(self.next_path):
            return False
        with key_files.translated(self.next_path):
            key_files.make_ed25519_key(self.next_path)
        return True

    def check_retired(self) -> None:
        """Raise SettingsError if the key before the last switch is still trusted."""
        if self.former is not None:
            raise SettingsError(
                f"cannot switch the {self._kind} key",
                "the key before the last switch is still trusted",
                f"Run 'wellkeeper key retire {self._kind}' first.",
                retry=Retry.NEVER,
            )

    def switch(self) -> None:
        """Sign with the next key from now on. Raises SettingsError without one, and before the last one is retired."""
        self.check_retired()
        if self.following is None:
            raise SettingsError(
                f"cannot switch the {self._kind} key",
                f"{self.next_path} does not exist",
                f"Run 'wellkeeper key prepare {self._kind}' first.",
                retry=Retry.NEVER,
            )
        pem = self.current.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        with key_files.translated(self._state_dir):
            key_files.replace_whole(self._former_path, pem)
            os.replace(self.next_path, self.path)  # noqa: PTH105 - names the operation
            durable.sync(self._state_dir)

    def retire(self) -> bool:
        """Trust the former key no longer; return False if there is none. Raises SettingsError."""
        is_there = self._exists(self._former_path)
        with key_files.translated(self._former_path):
            self._former_path.unlink(missing_ok=True)
            durable.sync(self._state_dir)
        return is_there

    def _exists(self, path: Path) -> bool:
        with key_files.translated(self._state_dir):
            return presence.exists(path)


def _damaged(path: Path, why: str) -> SettingsError:
    remedy = f"Run 'rm {path}', then 'wellkeeper trust --write'."
    return SettingsError(f"cannot read the former key {path}", why, remedy)
