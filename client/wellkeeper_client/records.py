"""The records of a fleet: what issuer and nodes leave for each other in a relay that neither has to trust.

A record is a compact JWS, signed with EdDSA. Its `typ` binds it to one kind, its claims to one key, and its number
orders the records of that key. The fleet key signs all kinds but reports, which their node signs. Contract:
docs/design/0023-records-and-relay.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wellkeeper_client import wire
from wellkeeper_client.compact_jws import MessageError, malformed, verify
from wellkeeper_client.signing import decode_public_key, sign_claims

VERSION: Final = 1
AUDIENCE: Final = "wellkeeper-fleet"
# Readers of JSON that use floating-point numbers keep these exact (RFC 8259 section 6).
MAX_NUMBER: Final = 2**53 - 1
# As long as a lineage's name. Publications are named by their `jti`.
NAME_PATTERN: Final = re.compile(r"(?!.*\.\.)[A-Za-z0-9_-][A-Za-z0-9._-]{0,239}")
LONGEST_KEY: Final = 512
# In the body of a node's record: base64url of the raw Ed25519 public key that signs its reports and permits.
SIGNING_KEY: Final = "signing_key"

_CLAIMS: Final = frozenset({"aud", "version", "key", "number", "iat", "exp", "body"})
_INTEGERS: Final = ("number", "iat", "exp")
_DAY: Final = 86_400
# A public CA's certificate is valid for at most 398 days; a record that lives on is signed again.
_LONG: Final = 400 * _DAY
_KIB: Final = 1024


class Kind(StrEnum):
    """The kinds of records, each with the form of its keys."""

    PUBLICATION = "publication"  # publication/JTI, also its withdrawal
    BUNDLE = "bundle"  # bundle/LINEAGE
    WRAP = "wrap"  # wrap/NODE/LINEAGE
    MANIFEST = "manifest"  # manifest/NAME
    NODE = "node"  # node/NODE
    REPORT = "report"  # report/NODE
    HEARTBEAT = "heartbeat"  # heartbeat/NAME
    # Of a node that joins; ID is that of its invite. A request is not signed, it has a MAC.
    INVITE = "invite"  # invite/ID
    JOIN = "join"  # join/ID
    ANSWER = "answer"  # answer/ID

    @property
    def message_type(self) -> str:
        """The `typ` of the records' messages."""
        return f"wellkeeper-record-{self}+jwt"

    @property
    def longest(self) -> int:
        """The most bytes that a record may have."""
        return _LONGEST[self]

    @property
    def lifetime_seconds(self) -> int:
        """The longest time from `iat` to `exp`."""
        return _LIFETIMES.get(self, _LONG)


# A bundle is a chain and a key, a manifest about 340 bytes for each of three thousand lineages. An agent that reads a
# longest one, which takes twice as much, stays below 64 MiB.
_LONGEST: Final[Mapping[Kind, int]] = {
    Kind.PUBLICATION: 8 * _KIB,
    Kind.BUNDLE: 128 * _KIB,
    Kind.WRAP: 2 * _KIB,
    Kind.MANIFEST: 1024 * _KIB,
    Kind.NODE: 64 * _KIB,
    Kind.REPORT: 256 * _KIB,
    Kind.HEARTBEAT: 1 * _KIB,
    Kind.INVITE: 1 * _KIB,
    Kind.JOIN: 4 * _KIB,
    Kind.ANSWER: 256 * _KIB,
}
_LIFETIMES: Final[Mapping[Kind, int]] = {
    Kind.PUBLICATION: wire.MAX_LIFETIME_SECONDS,
    Kind.REPORT: 7 * _DAY,
    Kind.HEARTBEAT: 3600,
    Kind.INVITE: 3600,
    Kind.JOIN: 3600,
    Kind.ANSWER: 3600,
}


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `number` rises with each record of the key; times are UNIX seconds; `body` is the kind's own."""

    key: str
    number: int
    issued_at: int
    expires_at: int
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        return kind_of(self.key)


@lru_cache(maxsize=1024)
def kind_of(key: str) -> Kind:
    """Return the kind of a record's key. Raises MessageError for what is not a key."""
    kind, *names = key[: LONGEST_KEY + 1].split("/")
    if kind not in Kind.__members__.values() or len(key) > LONGEST_KEY:
        raise malformed(f"{key!r:.60} is not the key of a record")
    if len(names) != (2 if kind == Kind.WRAP else 1) or not all(map(NAME_PATTERN.fullmatch, names)):
        raise malformed(f"{key!r:.60} is not the key of a {kind}")
    return Kind(kind)


def node_of(key: str) -> str:
    """Return the node that a wrap, a node's record or a report is about; of another record the name."""
    return key.split("/")[1]


def node_key(record: Record) -> Ed25519PublicKey:
    """Return the key that signs the reports of a node, from the node's record. Raises MessageError."""
    found = record.body.get(SIGNING_KEY)
    try:
        return decode_public_key(found if isinstance(found, str) else "")
    except ValueError as error:
        raise malformed(f"{SIGNING_KEY!r} of {record.key}: {error}") from error


def sign(record: Record, key: Ed25519PrivateKey) -> str:
    """Return the record's message. Raises MessageError for a record that readers would refuse."""
    claims = {
        "aud": AUDIENCE,
        "version": VERSION,
        "key": record.key,
        "number": record.number,
        "iat": record.issued_at,
        "exp": record.expires_at,
        "body": dict(record.body),
    }
    kind = _checked(claims).kind
    message = sign_claims(kind.message_type, claims, key)
    if len(message) > kind.longest:
        raise MessageError("too-large", f"{record.key} has {len(message)} bytes, at most {kind.longest} are allowed")
    return message


def check(message: bytes, keys: Mapping[str, Ed25519PublicKey], kind: Kind, now: float) -> Record:
    """Return the record; `keys` are those that may sign this kind, by key id, `now` is UNIX time.

    The caller compares `key` with where it found the record, and `number` with the highest it has seen. Raises
    MessageError, `expired` for a record that ended more than ten minutes ago.
    """
    record = read(message, keys, kind)
    late = now - record.expires_at
    if late > wire.MAX_CLOCK_SKEW_SECONDS:
        raise MessageError("expired", f"{record.key} expired {late:.0f} s ago by the clock of this machine")
    return record


def read(message: bytes, keys: Mapping[str, Ed25519PublicKey], kind: Kind) -> Record:
    """Check all but the end of the record's life: for what a reader kept itself, such as the highest manifest."""
    record = _checked(verify(message, keys, kind.message_type, kind.longest))
    if record.kind is not kind:
        raise malformed(f"{record.key!r:.60} is not the key of a {kind}")
    return record


def _checked(claims: dict[str, Any]) -> Record:
    if claims.get("aud") != AUDIENCE:
        raise malformed(f"claim 'aud' must be {AUDIENCE!r}")
    version = claims.get("version")
    if type(version) is not int or version != VERSION:
        raise MessageError("version", f"the record has version {version!r:.60}, this program reads version {VERSION}")
    if claims.keys() != _CLAIMS:
        raise malformed(f"the claims must be {', '.join(sorted(_CLAIMS))}")
    for name in _INTEGERS:
        if type(claims[name]) is not int or not 0 <= claims[name] <= MAX_NUMBER:
            raise malformed(f"claim {name!r} must be an integer from 0 to {MAX_NUMBER}")
    if not isinstance(claims["key"], str) or not isinstance(claims["body"], dict):
        raise malformed("claim 'key' must be a string, and 'body' an object")
    record = Record(claims["key"], claims["number"], claims["iat"], claims["exp"], claims["body"])
    lifetime, longest = record.expires_at - record.issued_at, record.kind.lifetime_seconds
    if not 0 < lifetime <= longest or record.expires_at > wire.MAX_TIME:
        raise malformed(f"'exp' - 'iat' of a {record.kind} is {lifetime} s, expected 1 to {longest}")
    return record
