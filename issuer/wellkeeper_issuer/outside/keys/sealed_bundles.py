"""Sealed bundles with their keys in `state_dir`: a relay that restarts, or a new node, gets what other nodes have.

A key here opens what the archive has in the clear, so these files are as secret as `privkey.pem`. Blocking.
"""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

from wellkeeper_issuer.fleet.sealing import Sealed
from wellkeeper_issuer.outside.keys import key_files
from wellkeeper_node import durable
from wellkeeper_node.bundles.manifest import Entry
from wellkeeper_node.bundles.model import SealedBundle, Version


class SealedBundles:
    """One file per lineage, with the newest version."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "bundles"

    def write(self, sealed: Sealed) -> None:
        """Replace the lineage's bundle, durably. Raises SettingsError."""
        found = {
            "number": sealed.entry.version.number,
            "archive_name": sealed.entry.version.archive_name,
            "leaf_sha256": sealed.entry.leaf_sha256,
            "key": base64.b64encode(sealed.key).decode(),
            "ciphertext": base64.b64encode(sealed.bundle.ciphertext).decode(),
        }
        path = self._path(sealed.bundle.lineage)
        with key_files.translated(path):
            durable.make_folder(self._folder, 0o700, key_files.OURS)
            key_files.replace_whole(path, json.dumps(found).encode())

    def read(self, lineage: str) -> Sealed | None:
        """Return the lineage's bundle; None when there is none that can be used: it must be sealed again.

        Raises SettingsError when the file cannot be read, or other users may change it.
        """
        path = self._path(lineage)
        key_files.check_access(path)
        with key_files.translated(path):
            try:
                found = json.loads(path.read_bytes())
                version = Version(int(found["number"]), str(found["archive_name"]))
                bundle = SealedBundle(lineage, version, base64.b64decode(found["ciphertext"], validate=True))
                key = base64.b64decode(found["key"], validate=True)
                return Sealed(bundle, Entry(version, bundle.sha256, str(found["leaf_sha256"])), key)
            except (FileNotFoundError, ValueError, KeyError, TypeError):
                return None

    def sealed_at(self, lineage: str) -> datetime | None:
        """Return the time at which the lineage's bundle was sealed. Raises SettingsError."""
        with key_files.translated(self._path(lineage)):
            try:
                return datetime.fromtimestamp(self._path(lineage).stat().st_mtime, UTC)
            except FileNotFoundError:
                return None

    def remove(self, lineage: str) -> None:
        """Remove the lineage's bundle. Idempotent. Raises SettingsError."""
        with key_files.translated(self._path(lineage)):
            self._path(lineage).unlink(missing_ok=True)

    def _path(self, lineage: str) -> Path:
        return self._folder / f"{lineage}.json"
