"""A node's report on itself, the body of `report/NODE`: what it holds, what the CA fetched, what it serves. Pure.

The node signs it, so it speaks for that node alone. Its texts are made harmless when they are read: one line each, and
bounded. A reader ignores members that it does not know.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from wellkeeper_client.records import Kind, Record
from wellkeeper_node.agent.instead import Instead, parse_instead
from wellkeeper_node.agent.members import (
    MOST,
    member,
    number,
    objects,
    text,
    text_or_none,
    texts,
    texts_if_any,
    time,
    time_or_none,
)
from wellkeeper_node.model import ReadBack

# A node looks again so often whether nginx still serves its certificates.
CHECK_SECONDS: Final = 3600.0
_LONGEST_ID: Final = 64
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


def done_digest(lineage: str, number: int, state: CertificateState = CertificateState.SERVED) -> str:
    """Return a digest of 72 bits for a version of a certificate in one of the states `DONE`.

    One among ten thousand is mistaken for none other.
    """
    words = f"{lineage}/{number}" if state is CertificateState.SERVED else f"{lineage}/{number}/{state}"
    return base64.urlsafe_b64encode(hashlib.sha256(words.encode()).digest()[:9]).decode()


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
    """A certificate: `number` and `leaf_sha256` are those of the version in the manifest that `state` is about.

    `instead` is what clients get if it is not this version, None if it is or the node has not looked.
    """

    number: int
    leaf_sha256: str
    state: CertificateState
    cause: str | None = None
    remedy: str = ""
    instead: Instead | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. `clock` is UNIX time; `manifest` the number of the highest one, 0 without any.

    `fleet_key_ids` are those of the fleet keys that the node trusts, `next_keys` the public line of its own next keys,
    `heartbeats` the last signed message of each issuer that it heard in the last minutes, `follows` the kinds of stores
    that answer it, of `FOLLOWS`. Since `checked_at`, UNIX time, the node has looked at all of its certificates.
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
    checked_at: float | None = None

    def is_done(self, lineage: str, number: int) -> bool:
        """Return whether nginx has this version of the certificate."""
        found = self.certificates.get(lineage)
        if found is not None:
            return found.number == number and found.state in DONE
        return self.state_left_out(lineage, number) is not None

    def state_left_out(self, lineage: str, number: int) -> CertificateState | None:
        """Return the state of this version if the report has only a digest of it."""
        if self.done:
            for state in (CertificateState.SERVED, CertificateState.INSTALLED):
                if done_digest(lineage, number, state) in self.done:
                    return state
        return None

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
            "checked_at": self.checked_at,
        }


def parse_report(node: str, body: Mapping[str, Any]) -> Report:
    """Reverse `Report.to_json` for this node. Raises ValueError, which says what is wrong."""
    responder = member(body, "responder", dict)
    return Report(
        version=text(body, "version"),
        clock=time(body, "clock"),
        manifest=number(body, "manifest"),
        concern=text_or_none(body, "concern"),
        responder=ResponderReport(
            text(responder, "instance_id", _LONGEST_ID),
            text(responder, "version"),
            texts(responder, "thumbprints"),
            text_or_none(responder, "error"),
            texts_if_any(responder, "publishing_key_ids"),
        ),
        publications={jti: _publication(node, one) for jti, one in objects(body, "publications")},
        fetches={
            token: FetchReport(number(one, "count"), texts(one, "clients")[:_MOST_CLIENTS])
            for token, one in objects(body, "fetches")
        },
        certificates={name: _certificate(one) for name, one in objects(body, "certificates")},
        done=frozenset(texts(body, "done")[:MOST]) if "done" in body else frozenset(),
        fleet_key_ids=texts_if_any(body, "fleet_key_ids"),
        next_keys=text_or_none(body, "next_keys"),
        heartbeats=texts(body, "heartbeats", Kind.HEARTBEAT.longest)[:_MOST_ISSUERS] if "heartbeats" in body else (),
        follows=tuple(one for one in FOLLOWS if one in texts_if_any(body, "follows")),
        checked_at=time_or_none(body, "checked_at"),
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
    found = {
        "number": one.number,
        "leaf_sha256": one.leaf_sha256,
        "state": one.state.value,
        "cause": one.cause,
        "remedy": one.remedy,
    }
    return found if one.instead is None else found | {"instead": one.instead.to_json()}


def _publication(node: str, found: Mapping[str, Any]) -> PublicationReport:
    read_backs = member(found, "read_backs", list)
    if not all(isinstance(one, dict) for one in read_backs):
        raise ValueError("'read_backs' must be a list of objects")
    is_held = member(found, "held", bool)
    return PublicationReport(is_held, text_or_none(found, "error"), tuple(_read_back(node, one) for one in read_backs))


def _read_back(node: str, found: Mapping[str, Any]) -> ReadBack:
    status = None if found.get("status") is None else number(found, "status")
    cause, remedy = text_or_none(found, "cause"), text(found, "remedy")
    return ReadBack(node, text(found, "url"), text(found, "address"), status, cause, remedy)


def _certificate(found: Mapping[str, Any]) -> CertificateReport:
    said, leaf, cause = text(found, "state"), text(found, "leaf_sha256"), text_or_none(found, "cause")
    if said not in CertificateState.__members__.values():
        # A later version of the program may know more states; its node must not seem to be away.
        cause = f"it is {said!r}, which this version does not know" + (f": {cause}" if cause else "")
        said = CertificateState.FAILED
    remedy, instead = text(found, "remedy"), parse_instead(found)
    return CertificateReport(number(found, "number"), leaf, CertificateState(said), cause, remedy, instead)
