"""The fleet key in `state_dir`, beside the publishing key: it signs the manifest and all records about nodes.

It is not a publishing key: other ACME clients may hold one of those, and must not be able to install anything. Nodes
trust the current and the next key, so that neither a rotation nor a stolen key needs a visit to every node at once.
Blocking, but fast.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.keys import key_files
from wellkeeper_issuer.outside.keys.signing_keys import FROM_BACKUP, SigningKey
from wellkeeper_node import durable, presence
from wellkeeper_node.happened import NO_HISTORY, Happened, History, What


class FleetKeys(SigningKey):
    """The current, next and former key; a host without a fleet has none."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir, "fleet_key", "fleet")

    def make(self, history: History = NO_HISTORY) -> tuple[Path, ...]:
        """Create the missing keys and return their paths; an existing one is never replaced.

        Raises SettingsError, also when the current key was lost: nodes would not trust another one.
        """
        with key_files.translated(self.path.parent):
            durable.make_folder(self.path.parent, 0o700, key_files.OURS)
            made = tuple(path for path in (self.path, self.next_path) if not presence.exists(path))
            if made == (self.path,):
                raise SettingsError("the fleet key was lost", f"{self.path} does not exist", FROM_BACKUP)
            for path in made:
                key_files.make_ed25519_key(path)
            history.add(*(Happened(What.KEY_MADE, "fleet", {"file": path.name}) for path in made))
            return made

    @property
    def trusted(self) -> tuple[Ed25519PublicKey, ...]:
        """The current key and the next one; none without a fleet. Raises SettingsError.

        Nodes take nothing that the former one signs: only the issuer reads its last manifest with it.
        """
        with key_files.translated(self.path.parent):
            has_none = not presence.exists(self.path) and not presence.exists(self.next_path)
        return () if has_none else tuple(key for key in (self.current.public_key(), self.following) if key is not None)
