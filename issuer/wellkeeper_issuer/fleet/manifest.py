"""Make and sign the manifest: when its content changes, and once per day.

Its number is the UNIX time, or one more than the known one if that is higher: an issuer that lost its manifest, or was
restored from a backup, or has a new fleet key, continues above the numbers that nodes know.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wellkeeper_client import records
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.records import Kind
from wellkeeper_node.bundles.manifest import Entry, Leaves, Manifest
from wellkeeper_node.errors import FleetError
from wellkeeper_node.wording import counted

_SIGNED_AGAIN_SECONDS: Final = 24 * 3600
# At 3 000 certificates, six hundred more.
_NEARLY: Final = 0.8
REMEDY: Final = (
    "Put several names into each certificate, send nodes no certificates that they do not serve ('--certificates' of"
    " 'wellkeeper node invite' and 'node add'), or use a second issuer for some nodes."
)


@dataclass(frozen=True, slots=True)
class Listed:
    """The content of a manifest: the version of each lineage, the leaves to retire and to disown, the fleet keys."""

    lineages: Mapping[str, Entry]
    retire: Leaves = field(default_factory=dict)
    disown: Leaves = field(default_factory=dict)
    fleet_keys: tuple[str, ...] = ()


def next_manifest(known: Manifest | None, listed: Listed, now: int) -> Manifest | None:
    """Return the manifest to sign next, or None while the known one has this content and is less than a day old.

    `known` is the highest one that is known here, of nodes too, signed by a fleet key in use. Raises FleetError when
    the number of a lineage would fall: its nodes may have the higher version, and archive or state are incomplete.
    """
    leaves = _without_empty(listed.retire), _without_empty(listed.disown)
    manifest = Manifest(now, now, listed.lineages, *leaves, listed.fleet_keys)
    if known is None:
        return manifest
    for lineage, entry in listed.lineages.items():
        _check_does_not_fall(lineage, entry, known.lineages.get(lineage))
    is_same = manifest == replace(known, number=now, issued_at=now)
    # A clock that was ahead has dated the known one in the future.
    if is_same and 0 <= now - known.issued_at < _SIGNED_AGAIN_SECONDS:
        return None
    return replace(manifest, number=max(now, known.number + 1))


def besides(lineages: Mapping[str, Entry], leaves: Leaves) -> Leaves:
    """Return the leaves without those that are listed, which nodes need until there is another."""
    return {name: found - {lineages[name].leaf_sha256} for name, found in leaves.items() if name in lineages}


def sign_manifest(manifest: Manifest, fleet_key: Ed25519PrivateKey) -> bytes:
    """Return the message. Raises FleetError for a manifest that is too large."""
    try:
        return records.sign(manifest.to_record(), fleet_key).encode()
    except MessageError as error:
        count = counted(len(manifest.lineages), "certificate")
        what = f"cannot sign the manifest of {count}, so nodes get nothing new"
        raise FleetError(what, error.detail, REMEDY) from error


def nearly_full(message: bytes, manifest: Manifest) -> str:
    """Return that the manifest nears the limit of its size, "" before."""
    longest = Kind.MANIFEST.longest
    if len(message) < _NEARLY * longest:
        return ""
    percent, count = 100 * len(message) // longest, counted(len(manifest.lineages), "certificate")
    return f"the manifest has {count} for nodes and is {percent} % full: nodes get nothing new once it is too long"


def _check_does_not_fall(lineage: str, entry: Entry, known: Entry | None) -> None:
    if known is not None and entry.version.number < known.version.number:
        why = f"its version {entry.version.number} is lower than {known.version.number}, which nodes know"
        raise FleetError(f"cannot list the certificate of {lineage}", why)


def _without_empty(leaves: Leaves) -> Leaves:
    return {lineage: some for lineage, some in leaves.items() if some}
