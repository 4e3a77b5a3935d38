"""The highest manifest that a machine has seen, whole, with its signature, in one file. Blocking.

    offered ─▶ signature, form ─▶ higher than the kept one? ─▶ durably on disk ─▶ in force

Freshness therefore depends neither on the relay nor on clocks: a relay may lose or replay manifests, but cannot take a
machine back. The kept message can be offered to a relay that has none or an older one.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client import records
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.records import Kind
from wellkeeper_node import durable
from wellkeeper_node.bundles.manifest import Manifest, read_manifest
from wellkeeper_node.errors import FleetError, OlderManifestError

_log = logging.getLogger(__name__)
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Kept:
    """A manifest, and the message that it is from."""

    manifest: Manifest
    message: bytes


class ManifestFile:
    """The file; `fleet_keys` are those that the machine trusts, by key id.

    The kept one may also be signed by one of the `former` keys.
    """

    def __init__(
        self,
        path: Path,
        fleet_keys: Mapping[str, Ed25519PublicKey],
        former: Mapping[str, Ed25519PublicKey] | None = None,
    ) -> None:
        self._path = path
        self.fleet_keys = fleet_keys
        self._readable = {**fleet_keys, **(former or {})}

    def read(self) -> Kept | None:
        """Return the kept manifest; None without one. Raises InstallError when the file cannot be read.

        One that is damaged, or whose fleet key is not trusted any more, counts as none: with a stolen key, a thief can
        sign the highest number, and a person on the machine replaced that key.
        """
        with durable.translated(self._path):
            try:
                message = self._path.read_bytes()
            except FileNotFoundError:
                return None
        try:
            return _check(message, self._readable)
        except FleetError as error:
            _log.warning("ignored the manifest in %s: %s", self._path, error.why)
            return None

    def take(self, message: bytes) -> Kept:
        """Keep the manifest if it is new, durably, and return it; the kept message again changes nothing.

        Raises OlderManifestError for a lower number, FleetError if it is not acceptable for another reason, and
        InstallError when the file cannot be written.
        """
        offered = _check(message, self.fleet_keys)
        with durable.translated(self._path), durable.locked(self._path.with_suffix(".lock"), "manifest"):
            kept = self.read()
            if kept is not None and kept.message == message:
                return kept
            if kept is not None:
                _check_is_newer(offered.manifest, kept.manifest)
            durable.replace_whole(self._path, message, _MODE)
        return offered


def _check(message: bytes, keys: Mapping[str, Ed25519PublicKey]) -> Kept:
    """Return the message with its content. Raises FleetError."""
    try:
        return Kept(read_manifest(records.read(message, keys, Kind.MANIFEST)), message)
    except (MessageError, ValueError) as error:
        raise FleetError("cannot use the manifest", str(error)) from error


def _check_is_newer(offered: Manifest, kept: Manifest) -> None:
    if offered.number < kept.number:
        raise OlderManifestError(f"ignored manifest {offered.number}", f"manifest {kept.number} is known")
    if offered.number == kept.number:
        why = "another one with this number is known: two issuers sign manifests"
        raise FleetError(f"cannot use manifest {offered.number}", why)
