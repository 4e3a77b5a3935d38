"""The manifest: which version of each lineage is the right one, and which certificates nodes must not keep.

The fleet key signs it. A node accepts only a manifest with a higher number than the one it keeps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from wellkeeper_client.records import Kind, Record
from wellkeeper_client.signing import decode_public_key
from wellkeeper_node.bundles import content
from wellkeeper_node.bundles.model import Version
from wellkeeper_node.wording import format_time

MANIFEST_KEY: Final = f"{Kind.MANIFEST}/fleet"
# It is signed again each day.
OLD_AFTER: Final = timedelta(days=3)
_FLEET_KEYS: Final = "fleet_keys"
_MOST_KEYS: Final = 2
_CLOCK_TOLERANCE: Final = timedelta(minutes=10)

Leaves = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Entry:
    """The version of a lineage, with SHA-256 of its ciphertext and of its leaf (DER), in lower-case hexadecimal."""

    version: Version
    ciphertext_sha256: str
    leaf_sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The right versions, by lineage; `issued_at` is UNIX time.

    `retire` and `disown` have SHA-256 of leaves, by lineage: a node deletes them once nothing uses them, and never
    goes back to one that is disowned. `fleet_keys` are the key that signs and its successor, base64url of raw Ed25519
    public keys; none if the issuer names none.
    """

    number: int
    issued_at: int
    lineages: Mapping[str, Entry]
    retire: Leaves
    disown: Leaves
    fleet_keys: tuple[str, ...] = ()

    def concern(self, now: datetime) -> str | None:
        """Return a sentence about its date, for the node's report; None when it is recent by this clock."""
        issued = datetime.fromtimestamp(self.issued_at, UTC)
        if now - issued > OLD_AFTER:
            return f"the manifest is from {format_time(issued)}, over {OLD_AFTER.days} days ago"
        if issued - now > _CLOCK_TOLERANCE:
            return f"the manifest is from {format_time(issued)}, the clock here says {format_time(now)}"
        return None

    def to_record(self) -> Record:
        body: dict[str, Any] = {
            "lineages": {name: _entry_to_json(entry) for name, entry in sorted(self.lineages.items())},
            "retire": {name: sorted(leaves) for name, leaves in sorted(self.retire.items())},
            "disown": {name: sorted(leaves) for name, leaves in sorted(self.disown.items())},
        }
        body |= {_FLEET_KEYS: list(self.fleet_keys)} if self.fleet_keys else {}
        expires_at = self.issued_at + Kind.MANIFEST.lifetime_seconds
        return Record(MANIFEST_KEY, self.number, self.issued_at, expires_at, body)


def read_manifest(record: Record) -> Manifest:
    """Return the manifest of a record that was checked.

    Raises ValueError, also when it lists a certificate that it retires or disowns.
    """
    if record.key != MANIFEST_KEY:
        raise ValueError(f"its key is {record.key!r:.80}, expected {MANIFEST_KEY!r}")
    keys = record.body.get(_FLEET_KEYS, [])
    others = {name: value for name, value in record.body.items() if name != _FLEET_KEYS}
    body = content.members(others, {"lineages": dict, "retire": dict, "disown": dict})
    lineages = {content.check_lineage(name): _entry(entry) for name, entry in body["lineages"].items()}
    retire, disown = _leaves(body["retire"]), _leaves(body["disown"])
    for name, entry in lineages.items():
        if entry.leaf_sha256 in retire.get(name, frozenset()) | disown.get(name, frozenset()):
            raise ValueError(f"it lists the certificate of {name} that it retires or disowns")
    number, issued_at = content.check_number(record.number), _time(record.issued_at)
    return Manifest(number, issued_at, lineages, retire, disown, _checked_keys(keys))


def _entry(found: object) -> Entry:
    one = content.members(found, {"number": int, "archive_name": str, "ciphertext_sha256": str, "leaf_sha256": str})
    version = Version(content.check_number(one["number"]), content.check_archive_name(one["archive_name"]))
    return Entry(version, content.check_sha256(one["ciphertext_sha256"]), content.check_sha256(one["leaf_sha256"]))


def _entry_to_json(entry: Entry) -> dict[str, str | int]:
    return {
        "number": entry.version.number,
        "archive_name": entry.version.archive_name,
        "ciphertext_sha256": entry.ciphertext_sha256,
        "leaf_sha256": entry.leaf_sha256,
    }


def _leaves(found: dict[str, object]) -> dict[str, frozenset[str]]:
    return {content.check_lineage(name): frozenset(_digests(values)) for name, values in found.items()}


def _digests(values: object) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("the certificates to retire or disown must be lists of strings")
    return [content.check_sha256(value) for value in values]


def _checked_keys(values: object) -> tuple[str, ...]:
    if not isinstance(values, list) or len(values) > _MOST_KEYS or not all(isinstance(one, str) for one in values):
        raise ValueError(f"{_FLEET_KEYS!r} must be a list of at most {_MOST_KEYS} strings")
    for value in values:
        decode_public_key(value)
    return tuple(values)


def _time(seconds: int) -> int:
    """Check that `datetime` can represent it."""
    try:
        datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"it is issued at {seconds}, which is not a UNIX time in seconds") from error
    return seconds
