"""The types of orders and renewals: frozen dataclasses without I/O, with the words of RFC 8555.

Types for certificates beside nginx are in `wellkeeper_node.model`.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from wellkeeper_node.model import Identifier, KeyType, Problem


@dataclass(frozen=True, slots=True)
class Lineage:
    """One certificate to keep renewed; `name` matches LINEAGE_NAME and is the name of its directories.

    `directory_urls` are its CAs, in order of preference. With `csr_path`, the key stays elsewhere. It must be
    served at `https_addresses`: none for nowhere on this host, None for wherever nginx's configuration says. The nodes
    in `without_nodes` need not answer its challenges, this time. An external one is never ordered, and has no CA:
    another ACME client obtains it.
    """

    name: str
    identifiers: tuple[Identifier, ...]
    key_type: KeyType = KeyType.ECDSA_P256
    profile: str | None = None
    directory_urls: tuple[str, ...] = ()
    reuses_key: bool = False
    csr_path: str | None = None
    drops_failing_names: bool = False
    https_addresses: tuple[tuple[str, int], ...] | None = None
    without_nodes: frozenset[str] = frozenset()
    is_external: bool = False


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
    """An http-01 challenge; `token` is exactly as the CA wrote it, and has valid token syntax."""

    url: str
    token: str
    status: Status
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Authorization:
    """`challenge` is None when the CA offers no http-01 challenge; `other_challenges` are the types that it offers."""

    url: str
    identifier: Identifier
    status: Status
    challenge: Challenge | None
    other_challenges: tuple[str, ...] = ()
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An order; a CA may name `authorization_urls` and `finalize_url` in its reply to newOrder only."""

    url: str
    status: Status
    authorization_urls: tuple[str, ...]
    finalize_url: str
    certificate_url: str | None = None
    problem: Problem | None = None
    retry_after_seconds: float | None = None

    def completed(self, authorization_urls: tuple[str, ...], finalize_url: str) -> "Order":
        """Return the order with these URLs where the CA's reply has none."""
        return replace(
            self,
            authorization_urls=self.authorization_urls or authorization_urls,
            finalize_url=self.finalize_url or finalize_url,
        )


@dataclass(frozen=True, slots=True)
class Ordered:
    """The result of the stage `order`."""

    order: Order
    authorizations: tuple[Authorization, ...]


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A renewal under way without its secrets, to decide whether the settings still want it."""

    directory_url: str
    identifiers: tuple[Identifier, ...]
    has_certificate_key: bool
    has_chain: bool

    def fits(self, lineage: Lineage) -> bool:
        """Return True if identifiers and place of the key are still those of the settings."""
        is_key_here = lineage.csr_path is None
        return set(self.identifiers) == set(lineage.identifiers) and self.has_certificate_key == is_key_here

    def is_issued_for(self, lineage: Lineage) -> bool:
        """Return True if the certificate was issued, by a CA in the settings, and is still wanted: install it.

        This decides for passes and for status, which does not read the chain. Which CA issued an external
        certificate is unknown.
        """
        is_of_its_source = (
            not self.directory_url if lineage.is_external else self.directory_url in lineage.directory_urls
        )
        return self.has_chain and is_of_its_source and self.fits(lineage)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A renewal under way, as recorded in the state: enough to resume after a crash at any point.

    `certificate_key_pem` is empty when the key stays elsewhere (an administrator's CSR). The URLs are those of the
    CA's reply to newOrder.
    """

    lineage: str
    directory_url: str
    identifiers: tuple[Identifier, ...]
    certificate_key_pem: bytes = field(repr=False)
    csr_der: bytes = field(repr=False)
    order_url: str | None = None
    chain_pem: bytes | None = field(default=None, repr=False)
    account_url: str = ""
    authorization_urls: tuple[str, ...] = ()
    finalize_url: str = ""

    def with_order(self, placed: Order) -> "Attempt":
        """Return the attempt with what the CA replied to newOrder."""
        urls = placed.authorization_urls
        return replace(self, order_url=placed.url, authorization_urls=urls, finalize_url=placed.finalize_url)

    @property
    def under_way(self) -> UnderWay:
        """The attempt without its secrets."""
        has_key, has_chain = bool(self.certificate_key_pem), self.chain_pem is not None
        return UnderWay(self.directory_url, self.identifiers, has_key, has_chain)


@dataclass(frozen=True, slots=True)
class Due:
    """A certificate to obtain now, with the reason."""

    lineage: Lineage
    reason: str
