"""The data types of a node: frozen dataclasses without I/O.

A *lineage* is a name for a set of identifiers whose certificates follow one another; a *node* is one nginx with its
responder; *live* is the version that nginx reads.
"""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

# File systems take names of 255 bytes; the rest is room for our own prefixes and suffixes.
MAX_LINEAGE_NAME = 240
# A directory has this name: not a path, not hidden, not an option, and the same on file systems that ignore case.
LINEAGE_NAME = re.compile(rf"(?!.*\.\.)[a-z0-9_][a-z0-9._-]{{0,{MAX_LINEAGE_NAME - 1}}}")
# Only certificates that another client obtains have such names.
WILDCARD = "*."
ERROR_PREFIX = "urn:ietf:params:acme:error:"

_DIGEST_CHARACTERS = 16


def shortened_name(name: str) -> str:
    """Return the name, or if it is longer than a lineage's name may be, its beginning and a digest of all of it."""
    if len(name) <= MAX_LINEAGE_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_CHARACTERS]
    return f"{name[: MAX_LINEAGE_NAME - _DIGEST_CHARACTERS - 1].rstrip('.-')}-{digest}"


class IdentifierType(StrEnum):
    DNS = "dns"
    IP = "ip"


@dataclass(frozen=True, slots=True, order=True)
class Identifier:
    """A name in a certificate; `value` is a lower-case A-label name or a compressed IP address (RFC 8738)."""

    type: IdentifierType
    value: str

    def __str__(self) -> str:
        return self.value

    @property
    def is_wildcard(self) -> bool:
        return self.value.startswith(WILDCARD)

    def is_covered_by(self, identifiers: Collection["Identifier"]) -> bool:
        """Return whether a certificate with these is valid for it: a wildcard stands for one label (RFC 9525)."""
        _, dot, parent = self.value.partition(".")
        is_below_a_wildcard = bool(dot) and Identifier(self.type, f"{WILDCARD}{parent}") in identifiers
        return self in identifiers or (self.type is IdentifierType.DNS and is_below_a_wildcard)


class KeyType(StrEnum):
    """The kinds of certificate keys that public CAs accept."""

    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"


class KeyAlgorithm(StrEnum):
    """The key algorithms that public CAs accept; a server may have a certificate of each for one name."""

    ECDSA = "ECDSA"
    RSA = "RSA"


@dataclass(frozen=True, slots=True)
class Node:
    """One nginx with its responder. Addresses are (host, port) pairs, never resolved from the name."""

    name: str
    responder: str
    http_addresses: tuple[tuple[str, int], ...]
    https_addresses: tuple[tuple[str, int], ...]
    speaks_proxy_protocol: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """One address at which a server block of nginx accepts TLS: (host, port), or ("unix:PATH", 0).

    Without `is_visible`, no handshake is made: QUIC alone, STARTTLS, an address of another host, or one of the many
    ports of a range.
    """

    address: tuple[str, int]
    is_default: bool = False
    is_visible: bool = True
    speaks_proxy_protocol: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """A server block of http, stream or mail: its server names, TLS addresses and certificate files.

    `chain_paths` are without symbolic links; a path with variables is as it was written.
    """

    names: tuple[str, ...]
    listeners: tuple[Listener, ...]
    chain_paths: frozenset[str]


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document of the CA (RFC 8555 section 6.7), with the additions of its HTTP reply."""

    type: str
    detail: str
    status: int | None = None
    retry_after_seconds: float | None = None
    identifier: str | None = None
    subproblems: tuple["Problem", ...] = ()

    @property
    def name(self) -> str:
        """Return the type without the ACME prefix: `rateLimited`."""
        return self.type.removeprefix(ERROR_PREFIX)

    def __str__(self) -> str:
        about = f" for {self.identifier}" if self.identifier else ""
        status = f" (HTTP {self.status})" if self.status else ""
        inner = "".join(f"; {subproblem}" for subproblem in self.subproblems)
        return f"{self.name}{about}{status}: {self.detail}{inner}"


@dataclass(frozen=True, slots=True)
class Answer:
    """The content of the challenge URL of an identifier (RFC 8555 section 8.3)."""

    token: str
    thumbprint: str
    identifier: Identifier

    @property
    def key_authorization(self) -> str:
        return f"{self.token}.{self.thumbprint}"


@dataclass(frozen=True, slots=True)
class Published:
    """A publication for renewals of these lineages, as recorded: enough to withdraw it.

    Certificates with a common identifier may share a token.
    """

    jti: str
    token: str
    lineages: frozenset[str]
    expires_at: int


@dataclass(frozen=True, slots=True)
class ReadBack:
    """The answer of one address of one node to the CA's request; `cause` is None when the CA will accept it.

    `remedy` is a full sentence, or empty. `is_elsewhere`: something other than the challenge location answered.
    `is_token_unknown`: a responder answered through the challenge location that it does not have the token.
    """

    node: str
    url: str
    address: str
    status: int | None
    cause: str | None
    remedy: str = ""
    is_elsewhere: bool = False
    is_token_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate chain (PEM, leaf first) and its key (PEM, PKCS #8; empty when the key stays elsewhere)."""

    certificate_key_pem: bytes = field(repr=False)
    chain_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Certificate:
    """The properties of a leaf certificate; `serial` in lower-case hex, fingerprint of its DER form in lower-case hex.

    `certificate_id` is its RFC 9773 name, None when it does not name the authority's key.
    """

    identifiers: frozenset[Identifier]
    serial: str
    fingerprint_sha256: str
    issued_by: str
    not_before: datetime
    not_after: datetime
    is_self_signed: bool
    key_algorithm: KeyAlgorithm | None = None
    certificate_id: str | None = None
    key_type: KeyType | None = None

    @property
    def lifetime(self) -> timedelta:
        return self.not_after - self.not_before


@dataclass(frozen=True, slots=True)
class Flip:
    """One switch of `live/<lineage>`; versions are in `archive/<lineage>/`, `before` is None for the first."""

    lineage: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class Installed:
    """The content of `live/<lineage>`; without `has_key` its key stays elsewhere (the user sent a CSR)."""

    lineage: str
    version: str
    certificate: Certificate
    has_key: bool = True


@dataclass(frozen=True, slots=True)
class Old:
    """A version that is not needed unless nginx uses it; `folder` is its path, `certificate` None if it is damaged."""

    version: str
    folder: str
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class Tested:
    """The result of `nginx -t`; `words` are its error lines."""

    passed: bool
    words: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A flip that nginx rejected and that was undone; `words` are nginx's."""

    flip: Flip
    words: str


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A verified reload and the flips that were left out of it. `seconds` is None when nothing was left to reload.

    `finishing_count` is the number of old workers, of this reload and earlier ones, that still finish requests.
    """

    rolled_back: tuple[RolledBack, ...] = ()
    seconds: float | None = None
    finishing_count: int = 0


@dataclass(frozen=True, slots=True)
class ExpectedFetches:
    """The number of fetches of a token after which `quiet_seconds` without another one are enough."""

    count: int
    quiet_seconds: float


@dataclass(frozen=True, slots=True)
class Served:
    """The result of verifying: nginx serves the installed leaf, or does not use it yet.

    `fingerprint_sha256` is the leaf that the handshakes found, None when none was served for that name. With
    `is_hidden`, nginx has loaded the certificate where no handshake can be made, or serves it nowhere on this host.
    `leaf` is what clients get instead; with `is_refused`, nginx refuses a handshake.
    """

    is_served: bool
    fingerprint_sha256: str | None
    detail: str
    is_hidden: bool = False
    leaf: Certificate | None = None
    is_refused: bool = False


@dataclass(frozen=True, slots=True)
class Verified:
    """The installed certificate, and the result of verifying it."""

    certificate: Certificate
    served: Served
