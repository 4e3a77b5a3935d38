"""Bundles and wraps, which travel from the issuer to nodes: their form in records and as JSON.

    Bundle ─seal─▶ SealedBundle, the same for all nodes; a Wrap per node has its key
    Manifest: lists for each lineage the version and the digests of its ciphertext and leaf

`read_…` and `parse_…` raise ValueError for anything that this version of the format does not describe completely.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from wellkeeper_client.records import Kind, Record
from wellkeeper_node.bundles import content
from wellkeeper_node.model import Identifier, IdentifierType, Pair

# What fits in a record, which encodes the ciphertext twice in base64url, with room for the other claims.
LONGEST_BUNDLE: Final = Kind.BUNDLE.longest * 9 // 16 - 1024


@dataclass(frozen=True, slots=True)
class Version:
    """A certificate of a lineage: its number, higher than those before it, and its name in the issuer's archive."""

    number: int
    archive_name: str

    def __str__(self) -> str:
        return f"{self.number} ({self.archive_name})"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The certificate of a lineage for its nodes; it has no place for a command."""

    lineage: str
    version: Version
    identifiers: frozenset[Identifier]
    pair: Pair

    def to_bytes(self) -> bytes:
        """Return JSON. Raises ValueError for a pair that is not text, as PEM is."""
        return content.dump(
            {
                "lineage": self.lineage,
                "number": self.version.number,
                "archive_name": self.version.archive_name,
                "identifiers": sorted(f"{one.type}:{one.value}" for one in self.identifiers),
                "chain": self.pair.chain_pem.decode(),
                "certificate_key": self.pair.certificate_key_pem.decode(),
            }
        )


@dataclass(frozen=True, slots=True)
class SealedBundle:
    """A bundle under a key of its own: nonce, then AES-256-GCM ciphertext. Anyone may read it."""

    lineage: str
    version: Version
    ciphertext: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        return sha256(self.ciphertext).hexdigest()

    def to_record(self, now: int) -> Record:
        body = {
            "archive_name": self.version.archive_name,
            "ciphertext": content.to_base64url(self.ciphertext),
        }
        return _record(bundle_key(self.lineage), self.version, now, body)


@dataclass(frozen=True, slots=True)
class Wrap:
    """The key of a sealed bundle, for one node; `suite` names the kind of HPKE."""

    node: str
    lineage: str
    version: Version
    suite: str
    wrapped_key: bytes

    def to_record(self, now: int) -> Record:
        body = {
            "archive_name": self.version.archive_name,
            "suite": self.suite,
            "wrapped_key": content.to_base64url(self.wrapped_key),
        }
        return _record(wrap_key(self.node, self.lineage), self.version, now, body)


def bundle_key(lineage: str) -> str:
    """Return the key of the record with the sealed bundle of the lineage."""
    return f"{Kind.BUNDLE}/{lineage}"


def wrap_key(node: str, lineage: str) -> str:
    """Return the key of the record with the wrap of the lineage for this node."""
    return f"{Kind.WRAP}/{node}/{lineage}"


def read_sealed(record: Record) -> SealedBundle:
    """Return the sealed bundle of a record that was checked."""
    body = content.members(record.body, {"archive_name": str, "ciphertext": str})
    (lineage,) = _names(record, Kind.BUNDLE)
    return SealedBundle(
        content.check_lineage(lineage), _version(record.number, body), content.from_base64url(body["ciphertext"])
    )


def read_wrap(record: Record) -> Wrap:
    """Return the wrap of a record that was checked."""
    body = content.members(record.body, {"archive_name": str, "suite": str, "wrapped_key": str})
    node, lineage = _names(record, Kind.WRAP)
    return Wrap(
        node,
        content.check_lineage(lineage),
        _version(record.number, body),
        body["suite"],
        content.from_base64url(body["wrapped_key"]),
    )


def parse_bundle(plaintext: bytes) -> Bundle:
    """Reverse `Bundle.to_bytes`."""
    found = content.members(
        content.parse(plaintext),
        {
            "lineage": str,
            "number": int,
            "archive_name": str,
            "identifiers": list,
            "chain": str,
            "certificate_key": str,
        },
    )
    pair = Pair(found["certificate_key"].encode(), found["chain"].encode())
    identifiers = frozenset(map(_identifier, found["identifiers"]))
    return Bundle(content.check_lineage(found["lineage"]), _version(found["number"], found), identifiers, pair)


def _record(key: str, version: Version, now: int, body: dict[str, str]) -> Record:
    return Record(key, version.number, now, now + Kind(key.split("/", maxsplit=1)[0]).lifetime_seconds, body)


def _names(record: Record, kind: Kind) -> list[str]:
    """Return the names in the record's key."""
    if record.kind is not kind:
        raise ValueError(f"it is a {record.kind}, expected a {kind}")
    return record.key.split("/")[1:]


def _version(number: int, found: dict[str, Any]) -> Version:
    return Version(content.check_number(number), content.check_archive_name(found["archive_name"]))


def _identifier(text: object) -> Identifier:
    kind, _, value = text.partition(":") if isinstance(text, str) else ("", "", "")
    return Identifier(IdentifierType(kind), value)
