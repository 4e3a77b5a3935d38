"""A node's report on itself, the body of `report/NODE`: what it holds, what the CA fetched, what it serves. Pure.

The node signs it, so it speaks for that node alone. Its texts are made harmless when they are read: one line each, and
bounded. A reader ignores members that it does not know.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeVar

from wellkeeper_client.foreign_text import one_line
from wellkeeper_client.records import MAX_NUMBER, Kind, Record
from wellkeeper_client.wire import MAX_TIME
from wellkeeper_node.model import ReadBack

_T = TypeVar("_T")
_LONGEST_ID: Final = 64
_LONGEST_NAME: Final = 300
_MOST: Final = 10_000
_MOST_CLIENTS: Final = 8
_MOST_ISSUERS: Final = 4


class CertificateState(StrEnum):
    """The state of the newest version of a certificate that a node knows from the manifest.

    WAITING: it did not try yet, or could not get so far (`cause`). REFUSED: nginx refused it, the version before is
    live. FAILED: it could not be installed. WRONG: the bundle is not a usable certificate, or nginx loaded it and
    clients get another one or none. INSTALLED: nginx loaded it, and no server block uses it. SERVED: by handshake.
    """

    WAITING = "waiting"
    REFUSED = "refused"
    FAILED = "failed"
    WRONG = "wrong"
    INSTALLED = "installed"
    SERVED = "served"


FOLLOWS: Final = ("relay", "engine")
# The states in which nginx has a certificate.
DONE: Final = frozenset({CertificateState.SERVED, CertificateState.INSTALLED})


def done_digest(lineage: str, number: int) -> str:
    """Return a digest of 72 bits for a version of a certificate: one among ten thousand is mistaken for none other."""
    digest = hashlib.sha256(f"{lineage}/{number}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:9]).decode()


@dataclass(frozen=True, slots=True)
class ResponderReport:
    """The node's responder, and what it trusts; with an `error`, the rest may be empty."""

    instance_id: str = ""
    version: str = ""
    thumbprints: tuple[str, ...] = ()
    error: str | None = None
    publishing_key_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublicationReport:
    """A publication: the responder holds it, and these are the read-backs through the node's own nginx, all of them.

    A node reports that its responder holds one only with its read-backs; they are none if its settings say so.
    """

    is_held: bool
    error: str | None = None
    read_backs: tuple[ReadBack, ...] = ()


@dataclass(frozen=True, slots=True)
class FetchReport:
    """The fetches of a token since it was published, without read-backs, and the first few clients."""

    count: int
    clients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateReport:
    """A certificate: `number` and `leaf_sha256` are those of the version in the manifest that `state` is about."""

    number: int
    leaf_sha256: str
    state: CertificateState
    cause: str | None = None
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. `clock` is UNIX time; `manifest` the number of the highest one, 0 without any.

    `fleet_key_ids` are those of the fleet keys that the node trusts, `next_keys` the public line of its own next keys,
    `heartbeats` the last signed message of each issuer that it heard in the last minutes, `follows` the kinds of stores
    that answer it, of `FOLLOWS`.
    Publications by `jti`, fetches by token, certificates by lineage. A long report leaves out certificates that are
    served or installed, and has their digests (`done_digest`) in `done`.
    """

    version: str
    clock: float
    manifest: int = 0
    concern: str | None = None
    responder: ResponderReport = ResponderReport()
    publications: Mapping[str, PublicationReport] = field(default_factory=dict)
    fetches: Mapping[str, FetchReport] = field(default_factory=dict)
    certificates: Mapping[str, CertificateReport] = field(default_factory=dict)
    done: frozenset[str] = frozenset()
    fleet_key_ids: tuple[str, ...] = ()
    next_keys: str | None = None
    heartbeats: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()

    def is_done(self, lineage: str, number: int) -> bool:
        """Return whether nginx has this version of the certificate."""
        found = self.certificates.get(lineage)
        if found is not None:
            return found.number == number and found.state in DONE
        return bool(self.done) and done_digest(lineage, number) in self.done

    def to_record(self, node: str, number: int, now: int) -> Record:
        key = f"{Kind.REPORT}/{node}"
        return Record(key, number, now, now + Kind.REPORT.lifetime_seconds, self.to_json())

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "clock": self.clock,
            "manifest": self.manifest,
            "concern": self.concern,
            "responder": {
                "instance_id": self.responder.instance_id,
                "version": self.responder.version,
                "thumbprints": list(self.responder.thumbprints),
                "error": self.responder.error,
                "publishing_key_ids": list(self.responder.publishing_key_ids),
            },
            "publications": {jti: _publication_to_json(one) for jti, one in self.publications.items()},
            "fetches": {
                token: {"count": one.count, "clients": list(one.clients)} for token, one in self.fetches.items()
            },
            "certificates": {name: _certificate_to_json(one) for name, one in self.certificates.items()},
            "done": sorted(self.done),
            "fleet_key_ids": list(self.fleet_key_ids),
            "next_keys": self.next_keys,
            "heartbeats": list(self.heartbeats),
            "follows": list(self.follows),
        }


def parse_report(node: str, body: Mapping[str, Any]) -> Report:
    """Reverse `Report.to_json` for this node. Raises ValueError, which says what is wrong."""
    responder = _member(body, "responder", dict)
    return Report(
        version=_text(body, "version"),
        clock=_clock(body),
        manifest=_number(body, "manifest"),
        concern=_text_or_none(body, "concern"),
        responder=ResponderReport(
            _text(responder, "instance_id", _LONGEST_ID),
            _text(responder, "version"),
            _texts(responder, "thumbprints"),
            _text_or_none(responder, "error"),
            _texts_if_any(responder, "publishing_key_ids"),
        ),
        publications={jti: _publication(node, one) for jti, one in _objects(body, "publications")},
        fetches={
            token: FetchReport(_number(one, "count"), _texts(one, "clients")[:_MOST_CLIENTS])
            for token, one in _objects(body, "fetches")
        },
        certificates={name: _certificate(one) for name, one in _objects(body, "certificates")},
        done=frozenset(_texts(body, "done")[:_MOST]) if "done" in body else frozenset(),
        fleet_key_ids=_texts_if_any(body, "fleet_key_ids"),
        next_keys=_text_or_none(body, "next_keys"),
        heartbeats=_texts(body, "heartbeats", Kind.HEARTBEAT.longest)[:_MOST_ISSUERS] if "heartbeats" in body else (),
        follows=tuple(one for one in FOLLOWS if one in _texts_if_any(body, "follows")),
    )


def _publication_to_json(one: PublicationReport) -> dict[str, Any]:
    read_backs = [
        {
            "url": read.url,
            "address": read.address,
            "status": read.status,
            "cause": read.cause,
            "remedy": read.remedy,
        }
        for read in one.read_backs
    ]
    return {"held": one.is_held, "error": one.error, "read_backs": read_backs}


def _certificate_to_json(one: CertificateReport) -> dict[str, Any]:
    return {
        "number": one.number,
        "leaf_sha256": one.leaf_sha256,
        "state": one.state.value,
        "cause": one.cause,
        "remedy": one.remedy,
    }


def _publication(node: str, found: Mapping[str, Any]) -> PublicationReport:
    read_backs = _member(found, "read_backs", list)
    if not all(isinstance(one, dict) for one in read_backs):
        raise ValueError("'read_backs' must be a list of objects")
    is_held = _member(found, "held", bool)
    return PublicationReport(is_held, _text_or_none(found, "error"), tuple(_read_back(node, one) for one in read_backs))


def _read_back(node: str, found: Mapping[str, Any]) -> ReadBack:
    status = None if found.get("status") is None else _number(found, "status")
    cause, remedy = _text_or_none(found, "cause"), _text(found, "remedy")
    return ReadBack(node, _text(found, "url"), _text(found, "address"), status, cause, remedy)


def _certificate(found: Mapping[str, Any]) -> CertificateReport:
    said, leaf, cause = _text(found, "state"), _text(found, "leaf_sha256"), _text_or_none(found, "cause")
    if said not in CertificateState.__members__.values():
        # A later version of the program may know more states; its node must not seem to be away.
        cause = f"it is {said!r}, which this version does not know" + (f": {cause}" if cause else "")
        said = CertificateState.FAILED
    return CertificateReport(_number(found, "number"), leaf, CertificateState(said), cause, _text(found, "remedy"))


def _member(found: Mapping[str, Any], name: str, kind: type[_T] | tuple[type[_T], ...]) -> _T:
    value = found.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{name!r} is missing, or of another type")
    return value


def _clock(found: Mapping[str, Any]) -> float:
    clock = _member(found, "clock", (int, float))
    if not 0 <= clock <= MAX_TIME:
        raise ValueError("'clock' is not a UNIX time in seconds")
    return float(clock)


def _number(found: Mapping[str, Any], name: str) -> int:
    number = _member(found, name, int)
    if not 0 <= number <= MAX_NUMBER:
        raise ValueError(f"{name!r} is not a number from 0 to {MAX_NUMBER}")
    return number


def _text(found: Mapping[str, Any], name: str, longest: int = _LONGEST_NAME) -> str:
    return one_line(_member(found, name, str), longest)


def _text_or_none(found: Mapping[str, Any], name: str) -> str | None:
    return None if found.get(name) is None else one_line(_member(found, name, str))


def _texts(found: Mapping[str, Any], name: str, longest: int = _LONGEST_NAME) -> tuple[str, ...]:
    values = _member(found, name, list)
    if not all(isinstance(one, str) for one in values):
        raise ValueError(f"{name!r} must be a list of strings")
    return tuple(one_line(one, longest) for one in values)


def _texts_if_any(found: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return none of a node whose version does not report them."""
    return _texts(found, name) if name in found else ()


def _objects(found: Mapping[str, Any], name: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the members of an object of objects; their names are made harmless, too."""
    members = _member(found, name, dict)
    if len(members) > _MOST or not all(isinstance(one, dict) for one in members.values()):
        raise ValueError(f"{name!r} must be an object of at most {_MOST} objects")
    return [(one_line(key, _LONGEST_NAME), one) for key, one in members.items()]
