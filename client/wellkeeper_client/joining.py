"""The messages with which a node joins: the invite that a person carries, the request, and the issuer's answer.

The invite's secret never travels: the request has a MAC with it over both public keys of the node, and the answer is a
record that the fleet key in the invite signed. Contract: docs/design/0025-joining.md.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from wellkeeper_client import wire
from wellkeeper_client.json_values import canonical, decode, encode, parse_object, parse_text, parse_texts
from wellkeeper_client.publishers import Publisher, parse_publisher
from wellkeeper_client.records import NAME_PATTERN
from wellkeeper_client.signing import decode_public_key

PREFIX: Final = "wk1."
LIFETIME_SECONDS: Final = 3600
SECRET_BYTES: Final = 16
NONCE_BYTES: Final = 16
MOST_ADDRESSES: Final = 8
LONGEST_REQUEST: Final = 4096
# In the body of `invite/ID`: true if several nodes may use the invite.
REUSABLE: Final = "is_reusable"

# A line that a person can still copy.
_LONGEST_LINE: Final = 4096
_LONGEST_ADDRESS: Final = 300
_LONGEST_VERSION: Final = 64
_DIGEST: Final = re.compile("[A-Za-z0-9_-]{43}")
_MEMBERS: Final = frozenset({"addresses", "node", "pins", "fleet_key", "secret", "expires_at"})
_MEMBERS_OF_REUSABLE: Final = _MEMBERS - {"node"}
_REQUEST: Final = frozenset({"node", "signing_key", "sealing_key", "nonce", "version", "mac"})


@dataclass(frozen=True, slots=True)
class Pins:
    """The values that a node trusts after its join: RFC 7638 thumbprints, and base64url of raw Ed25519 public keys."""

    account_thumbprints: tuple[str, ...]
    publishing_keys: tuple[str, ...]
    fleet_keys: tuple[str, ...]
    publishers: tuple[Publisher, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON has them; without publishers, as earlier versions do."""
        publishers = [one.to_json() for one in self.publishers]
        return {
            "account_thumbprints": list(self.account_thumbprints),
            "publishing_keys": list(self.publishing_keys),
            "fleet_keys": list(self.fleet_keys),
        } | ({"publishers": publishers} if publishers else {})

    @property
    def digest(self) -> str:
        """Return the SHA-256 of all values in base64url."""
        return encode(hashlib.sha256(canonical(self.to_json())).digest())


@dataclass(frozen=True, slots=True)
class Invite:
    """An invite: relays, and all that a node needs to recognize the issuer's answer.

    `pins` is the digest of what the node will trust, `fleet_key` the raw Ed25519 public key in base64url, `expires_at`
    a UNIX time. The line of one that is reusable has no `node`: each node that joins names itself.
    """

    addresses: tuple[str, ...]
    node: str
    pins: str
    fleet_key: str
    secret: bytes = field(repr=False)
    expires_at: int
    is_reusable: bool = False

    @property
    def id(self) -> str:
        return invite_id(self.secret)

    def exchange(self, signing_key: str) -> str:
        """Return the name under which the relay holds the request of the node with this key, and the answer."""
        return exchange_of(self.id, signing_key) if self.is_reusable else self.id

    @property
    def line(self) -> str:
        """Return the invite as one word; it contains the secret."""
        members = {
            "addresses": list(self.addresses),
            "pins": self.pins,
            "fleet_key": self.fleet_key,
            "secret": encode(self.secret),
            "expires_at": self.expires_at,
        }
        if not self.is_reusable:
            members["node"] = self.node
        return PREFIX + encode(canonical(members))


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A request to join: name, public keys in base64url, a nonce, and version of the node; `mac` proves the invite."""

    node: str
    signing_key: str
    sealing_key: str
    nonce: str
    version: str
    mac: str = ""

    def sealed(self, secret: bytes) -> "JoinRequest":
        """Return the request with its MAC."""
        return replace(self, mac=self._mac(secret))

    def is_from(self, secret: bytes) -> bool:
        """Return whether the sender has the invite."""
        return hmac.compare_digest(self.mac, self._mac(secret))

    def to_bytes(self) -> bytes:
        return canonical(self._members() | {"mac": self.mac})

    def _mac(self, secret: bytes) -> str:
        return encode(hmac.digest(secret, canonical(self._members()), "sha256"))

    def _members(self) -> dict[str, str]:
        names = ("node", "signing_key", "sealing_key", "nonce", "version")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class JoinRefusal:
    """The body of `answer/ID.DIGEST` to a node that has a reusable invite, and may not join with it."""

    nonce: str
    why: str
    remedy: str

    def to_json(self) -> dict[str, Any]:
        return {"nonce": self.nonce, "refused": self.why, "remedy": self.remedy}

    def is_for(self, request: JoinRequest) -> bool:
        """Return whether it is about the request."""
        return self.nonce == request.nonce


@dataclass(frozen=True, slots=True)
class JoinAnswer:
    """The body of `answer/ID`: repeats the request, with what the node will trust, its relays and certificates.

    `certificates` has the identifiers (`dns:NAME` or `ip:ADDRESS`) by the certificate's name.
    """

    node: str
    signing_key: str
    sealing_key: str
    nonce: str
    pins: Pins
    relays: tuple[str, ...]
    answers: bool
    certificates: Mapping[str, tuple[str, ...]]

    def to_json(self) -> dict[str, Any]:
        return {
            "node": self.node,
            "signing_key": self.signing_key,
            "sealing_key": self.sealing_key,
            "nonce": self.nonce,
            "pins": self.pins.to_json(),
            "relays": list(self.relays),
            "answers": self.answers,
            "certificates": {name: list(found) for name, found in self.certificates.items()},
        }

    def is_for(self, request: JoinRequest) -> bool:
        """Return whether it repeats the request."""
        names = ("node", "signing_key", "sealing_key", "nonce")
        return all(getattr(self, name) == getattr(request, name) for name in names)


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def new_nonce() -> str:
    return encode(secrets.token_bytes(NONCE_BYTES))


def invite_id(secret: bytes) -> str:
    """Return the name under which the relay holds an invite: 22 characters, from which the secret cannot be found."""
    return encode(hashlib.sha256(b"wellkeeper-invite-id" + secret).digest())[:22]


def exchange_of(invite: str, signing_key: str) -> str:
    """Return the name of the request and the answer of one of several nodes that use the invite with this id."""
    return f"{invite}.{encode(hashlib.sha256(signing_key.encode()).digest())[:22]}"


def invite_of(exchange: str) -> str:
    """Return the id of the invite from what `Invite.exchange` returned."""
    return exchange.partition(".")[0]


def parse_pins(found: object) -> Pins:
    """Reverse `Pins.to_json`. Raises ValueError."""
    if not isinstance(found, Mapping):
        raise ValueError("the pins must be an object")
    accounts, publishing, fleet = (
        parse_texts(found.get(name), name) for name in ("account_thumbprints", "publishing_keys", "fleet_keys")
    )
    if not all(map(wire.THUMBPRINT_PATTERN.fullmatch, accounts)):
        raise ValueError("account_thumbprints must be RFC 7638 thumbprints")
    for key in (*publishing, *fleet):
        decode_public_key(key)
    if not (accounts and publishing and fleet):
        raise ValueError("accounts, publishing keys and fleet keys must not be empty")
    publishers = found.get("publishers", [])
    if not isinstance(publishers, list):
        raise ValueError("publishers must be a list")
    return Pins(accounts, publishing, fleet, tuple(map(parse_publisher, publishers)))


def parse_invite(text: str) -> Invite:
    """Reverse `Invite.line`; white space around it is ignored. Raises ValueError."""
    line = text.strip()
    if not line.startswith(PREFIX) or len(line) > _LONGEST_LINE:
        raise ValueError(f"an invite begins with {PREFIX} and is one line, as 'wellkeeper node invite' prints it")
    found = parse_object(decode(line.removeprefix(PREFIX)))
    is_reusable = "node" not in found
    if found.keys() != (_MEMBERS_OF_REUSABLE if is_reusable else _MEMBERS):
        raise ValueError("the invite is damaged, or of another version of Wellkeeper")
    addresses = parse_texts(found["addresses"], "addresses")
    if not 0 < len(addresses) <= MOST_ADDRESSES or any(len(one) > _LONGEST_ADDRESS for one in addresses):
        raise ValueError(f"an invite has 1 to {MOST_ADDRESSES} addresses of relays")
    node, pins, fleet_key = (parse_text(found.get(name, ""), name) for name in ("node", "pins", "fleet_key"))
    secret, expires_at = decode(parse_text(found["secret"], "secret")), found["expires_at"]
    is_named = is_reusable or NAME_PATTERN.fullmatch(node) is not None
    if not is_named or _DIGEST.fullmatch(pins) is None or len(secret) != SECRET_BYTES:
        raise ValueError("the invite is damaged")
    if type(expires_at) is not int or not 0 < expires_at <= wire.MAX_TIME:
        raise ValueError("the invite's time is not a UNIX time")
    decode_public_key(fleet_key)
    return Invite(addresses, node, pins, fleet_key, secret, expires_at, is_reusable)


def parse_request(message: bytes) -> JoinRequest:
    """Return what a stranger sent; nothing in it is verified. Raises ValueError."""
    if len(message) > LONGEST_REQUEST or not message.isascii():
        raise ValueError(f"a request has at most {LONGEST_REQUEST} bytes, all ASCII")
    found = parse_object(message)
    if found.keys() != _REQUEST:
        raise ValueError(f"a request has the members {', '.join(sorted(_REQUEST))}")
    request = JoinRequest(**{name: parse_text(value, name) for name, value in found.items()})
    if NAME_PATTERN.fullmatch(request.node) is None or len(request.version) > _LONGEST_VERSION:
        raise ValueError("the node's name or version is not valid")
    for name in ("signing_key", "sealing_key"):
        decode_public_key(getattr(request, name))
    if len(decode(request.nonce)) != NONCE_BYTES or _DIGEST.fullmatch(request.mac) is None:
        raise ValueError("the nonce or the MAC is not valid")
    return request


def check_sealing_key(text: str) -> None:
    """Raise ValueError for a key to which anyone could open what is sealed (RFC 7748 section 6.1)."""
    raw = decode(text)
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(raw))
    except ValueError as error:
        raise ValueError("the sealing key is not the public key of any node") from error


def parse_refusal(body: Mapping[str, Any]) -> JoinRefusal | None:
    """Reverse `JoinRefusal.to_json`; return None for another answer. Raises ValueError."""
    if "refused" not in body:
        return None
    return JoinRefusal(*(parse_text(body.get(name), name) for name in ("nonce", "refused", "remedy")))


def parse_answer(body: Mapping[str, Any]) -> JoinAnswer:
    """Reverse `JoinAnswer.to_json`. Raises ValueError."""
    names = ("node", "signing_key", "sealing_key", "nonce")
    certificates = body.get("certificates")
    if not isinstance(certificates, Mapping) or not all(map(NAME_PATTERN.fullmatch, certificates)):
        raise ValueError("certificates must be an object of lists by name")
    if not isinstance(body.get("answers"), bool):
        raise ValueError("answers must be true or false")
    node, signing_key, sealing_key, nonce = (parse_text(body.get(name), name) for name in names)
    pins, relays = parse_pins(body.get("pins")), parse_texts(body.get("relays"), "relays")
    identifiers = {name: parse_texts(found, name) for name, found in certificates.items()}
    return JoinAnswer(node, signing_key, sealing_key, nonce, pins, relays, body["answers"], identifiers)
