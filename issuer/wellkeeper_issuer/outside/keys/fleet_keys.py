"""The fleet key in `state_dir`, beside the publishing key: it signs the manifest and all records about nodes.

It is not a publishing key: other ACME clients may hold one of those, and must not be able to install anything. Nodes
trust the current and the next key, so that neither a rotation nor a stolen key needs a visit to every node at once.
Blocking, but fast.
"""

import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys import key_files
from wellkeeper_node import durable, presence

_RESTORE: Final = "Restore the key from a backup."


class FleetKeys:
    """The current and the next key; a host without a fleet has neither."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._current = state_dir / "fleet_key.pem"
        self._next = state_dir / "fleet_key.next.pem"

    def make(self) -> tuple[Path, ...]:
        """Create the missing keys and return their paths; an existing one is never replaced.

        Raises SettingsError, also when the current key was lost: nodes would not trust another one.
        """
        with key_files.translated(self._state_dir):
            durable.make_folder(self._state_dir, 0o700, key_files.OURS)
            made = tuple(path for path in (self._current, self._next) if not presence.exists(path))
            if made == (self._current,):
                raise SettingsError("the fleet key was lost", f"{self._current} does not exist", _RESTORE)
            for path in made:
                key_files.make_ed25519_key(path)
            return made

    @property
    def current(self) -> Ed25519PrivateKey:
        """The key that signs. Raises SettingsError when it is missing or of another kind."""
        return key_files.read_ed25519_key(self._current, "fleet key", _RESTORE)

    @property
    def trusted(self) -> tuple[Ed25519PrivateKey, ...]:
        """The keys that nodes must trust, the current one first; none without a fleet. Raises SettingsError."""
        with key_files.translated(self._state_dir):
            has_current, has_next = presence.exists(self._current), presence.exists(self._next)
        if not has_current and not has_next:
            return ()
        following = (key_files.read_ed25519_key(self._next, "fleet key"),) if has_next else ()
        return (self.current, *following)

    def rotate(self) -> None:
        """Replace the current key with the next one, by one rename, and create a new next one. Raises SettingsError.

        Nodes accept the new current key at once, and must learn the new next one before another rotation. A crash
        between the two steps leaves a fleet without a next key, which `make` creates.
        """
        with key_files.translated(self._state_dir):
            if not presence.exists(self._next):
                raise SettingsError("cannot rotate the fleet key", f"{self._next} does not exist", _RESTORE)
            os.replace(self._next, self._current)  # noqa: PTH105 - names the operation
            durable.sync(self._state_dir)
        self.make()
