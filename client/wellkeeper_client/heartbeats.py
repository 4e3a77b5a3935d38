"""The heartbeat of an issuer, `heartbeat/issuer`: which issuer feeds the fleet, and since when.

The fleet key signs it. A reader ignores members that it does not know. Former versions sent none: their issuer has the
id "".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client import records
from wellkeeper_client.compact_jws import malformed
from wellkeeper_client.foreign_text import one_line
from wellkeeper_client.records import MAX_NUMBER, Kind, Record

KEY: Final = f"{Kind.HEARTBEAT}/issuer"
# An issuer sends one each minute; after this time it is taken for lost.
SILENT_SECONDS: Final = 300
# Several beats may be lost.
_LIFETIME_SECONDS: Final = 600
_LONGEST: Final = 64


@dataclass(frozen=True, slots=True)
class IssuerId:
    """An issuer: a random id, the name of its host, and the UNIX time at which it became the issuer."""

    id: str = ""
    host: str = "a host with an older version"
    since: int = 0

    def __str__(self) -> str:
        return f"{self.host} ({self.id[:8]})" if self.id else self.host

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "host": self.host, "since": self.since}


# Of an older version.
UNNAMED: Final = IssuerId()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A heartbeat that this issuer sent at this UNIX time."""

    issuer: IssuerId
    at: int

    def to_record(self) -> Record:
        return Record(KEY, self.at, self.at, self.at + _LIFETIME_SECONDS, {"issuer": self.issuer.to_json()})


def read_heartbeat(message: bytes, keys: Mapping[str, Ed25519PublicKey], now: float) -> Heartbeat:
    """Return the heartbeat; `keys` are fleet keys by key id. Raises MessageError, also for one from long ago."""
    record = records.check(message, keys, Kind.HEARTBEAT, now)
    if record.key != KEY:
        raise malformed(f"it is the record {record.key!r:.80}")
    return Heartbeat(_issuer(record.body), record.issued_at)


def parse_issuer(found: object) -> IssuerId:
    """Reverse `IssuerId.to_json`. Raises MessageError."""
    members = found if isinstance(found, Mapping) else {}
    name, host, since = (members.get(key) for key in ("id", "host", "since"))
    if not isinstance(name, str) or not isinstance(host, str) or len(name) > _LONGEST:
        raise malformed("'id' and 'host' of an issuer must be strings")
    if type(since) is not int or not 0 <= since <= MAX_NUMBER:
        raise malformed("'since' of an issuer must be a UNIX time")
    return IssuerId(one_line(name), one_line(host, _LONGEST), since)


def _issuer(body: Mapping[str, Any]) -> IssuerId:
    return parse_issuer(body["issuer"]) if "issuer" in body else UNNAMED
