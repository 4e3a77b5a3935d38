"""The nouns of orders and renewals: frozen dataclasses without I/O. RFC 8555 words mean what they mean there.

Certificates, and what happens with them beside nginx, are in `wellkeeper_node.model`.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from wellkeeper_node.model import Identifier, KeyType, Problem


@dataclass(frozen=True, slots=True)
class Lineage:
    """One certificate to be kept fresh; `name` matches LINEAGE_NAME and names its folders.

    `directory_urls` are the CAs to ask, in order of preference. With `csr_path` the key stays elsewhere.
    """

    name: str
    identifiers: tuple[Identifier, ...]
    key_type: KeyType = KeyType.ECDSA_P256
    profile: str | None = None
    directory_urls: tuple[str, ...] = ()
    reuses_key: bool = False
    csr_path: str | None = None


class Status(StrEnum):
    """All states of orders, authorizations and challenges (RFC 8555 section 7.1.6)."""

    PENDING = "pending"
    PROCESSING = "processing"
    READY = "ready"
    VALID = "valid"
    INVALID = "invalid"
    EXPIRED = "expired"
    DEACTIVATED = "deactivated"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Challenge:
    """An http-01 challenge; `token` is the string as the CA wrote it, checked against the token syntax."""

    url: str
    token: str
    status: Status
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Authorization:
    """`challenge` is None when the CA offers no http-01 challenge; `other_challenges` names what it offers."""

    url: str
    identifier: Identifier
    status: Status
    challenge: Challenge | None
    other_challenges: tuple[str, ...] = ()
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Order:
    url: str
    status: Status
    authorization_urls: tuple[str, ...]
    finalize_url: str
    certificate_url: str | None = None
    problem: Problem | None = None
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Ordered:
    """What the stage `order` hands on."""

    order: Order
    authorizations: tuple[Authorization, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A renewal under way, as the journal holds it: enough to go on after a crash at any point.

    `certificate_key_pem` is empty when the key stays elsewhere (a CSR of the user's).
    """

    lineage: str
    directory_url: str
    identifiers: tuple[Identifier, ...]
    certificate_key_pem: bytes = field(repr=False)
    csr_der: bytes = field(repr=False)
    order_url: str | None = None
    chain_pem: bytes | None = field(default=None, repr=False)
    account_url: str = ""

    def fits(self, lineage: Lineage) -> bool:
        """Whether its certificate would still be what the settings want: these identifiers, a key here or elsewhere."""
        has_key = bool(self.certificate_key_pem)
        return set(self.identifiers) == set(lineage.identifiers) and has_key == (lineage.csr_path is None)


@dataclass(frozen=True, slots=True)
class Due:
    """Why a certificate has to be obtained now."""

    lineage: Lineage
    reason: str
