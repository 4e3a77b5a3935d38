"""The engine that the record of this node names, kept on disk: the relay may be away when the agent starts again.

What is kept is the signed record with the access sealed in it, so nothing new is readable here. An older record never
replaces a newer one: a relay and an engine may disagree, and one of them may be hostile. Blocking, but fast.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from wellkeeper_client import records
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.fleet_bodies import parse_node
from wellkeeper_client.records import Kind, Record
from wellkeeper_node import durable
from wellkeeper_node.bundles.engine_access import EngineAccess, open_access
from wellkeeper_node.errors import FleetError

_log = logging.getLogger(__name__)

FILE: Final = "node_record.jws"
_MODE: Final = 0o600


class KeptEngine:
    """The file in `state_dir`; a fleet that never had an engine has none."""

    def __init__(
        self, state_dir: Path, node: str, fleet_keys: Mapping[str, Ed25519PublicKey], sealing_key: X25519PrivateKey
    ) -> None:
        self._path = state_dir / FILE
        self._node = node
        self._fleet_keys = fleet_keys
        self._sealing_key = sealing_key

    def access(self) -> EngineAccess | None:
        """Return the access to the engine, None without one; what cannot be used is logged. Raises InstallError."""
        record = self._record()
        try:
            return self._open(record) if record else None
        except (FleetError, MessageError) as error:
            _log.warning("this node follows only its relays: %s", error)
            return None

    def take(self, record: Record, message: bytes) -> bool:
        """Keep a checked record of this node if it names another engine than the kept one; return whether it does.

        Raises InstallError.
        """
        kept = self._record()
        if (kept is not None and record.number <= kept.number) or self._has_same(kept, record):
            return False
        with durable.translated(self._path):
            durable.replace_whole(self._path, message, _MODE)
        return True

    def _record(self) -> Record | None:
        """Return the kept record, unless its key is no longer trusted."""
        with durable.translated(self._path):
            try:
                return records.read(self._path.read_bytes(), self._fleet_keys, Kind.NODE)
            except (FileNotFoundError, MessageError):
                return None

    def _has_same(self, kept: Record | None, record: Record) -> bool:
        """Compare what both open to: the issuer may have sealed the same access again."""
        try:
            return (self._open(kept) if kept else None) == self._open(record)
        except (FleetError, MessageError):  # perhaps sealed for keys that this node had, or is about to take
            return kept is not None and kept.body.get("engine") == record.body.get("engine")

    def _open(self, record: Record) -> EngineAccess | None:
        sealed = parse_node(record.body).engine
        return open_access(sealed, self._node, self._sealing_key) if sealed else None
