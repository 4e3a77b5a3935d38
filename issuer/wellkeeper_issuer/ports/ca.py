"""The Protocols of certificate authorities, which `outside.ca` implements."""

from collections.abc import Sequence
from typing import Protocol

from wellkeeper_issuer.model import Authorization, Challenge, Order
from wellkeeper_issuer.records import Limit, NoRenewalInfo, RenewalInfo
from wellkeeper_node.model import Identifier


class CertificateAuthority(Protocol):
    """An ACME server, with our account at it (RFC 8555). Repeats badNonce itself; polls nothing."""

    @property
    def name(self) -> str:
        """What people call it: its name in the settings, else its host."""
        ...

    @property
    def directory_url(self) -> str: ...

    @property
    def thumbprint(self) -> str:
        """RFC 7638 thumbprint of the account key: the second half of every key authorization."""
        ...

    async def account_url(self) -> str:
        """Finds or registers the account; asks the CA only if nobody wrote it down."""
        ...

    async def new_order(self, identifiers: Sequence[Identifier], profile: str | None, replaces: str | None) -> Order:
        """Not idempotent: record the URL before anything else.

        `replaces` is the RFC 9773 name of the predecessor, sent only when the directory has renewalInfo. Without
        `profile`, that of the CA's settings is taken; one that the directory does not offer is an OrderError.
        """
        ...

    async def read_order(self, url: str) -> Order | None:
        """None when the CA does not know the order (any more)."""
        ...

    async def read_authorization(self, url: str) -> Authorization: ...

    async def answer_challenge(self, challenge: Challenge) -> None:
        """Only for a pending challenge of a pending authorization (read again first)."""
        ...

    async def finalize(self, order: Order, csr_der: bytes) -> Order:
        """Only for an order that is ready; an orderNotReady comes back as the order's present state."""
        ...

    async def read_chain(self, order: Order) -> bytes:
        """The chain of a valid order, PEM, unchecked: the preferred one of the CA's settings when the CA has it."""
        ...


class Authorities(Protocol):
    """The CAs of the settings."""

    @property
    def directory_urls(self) -> Sequence[str]:
        """Of all of them."""
        ...

    def open(self, directory_url: str) -> CertificateAuthority:
        """Always the same object for one directory; loads what it needs with the first call."""
        ...

    def limits(self, directory_url: str) -> Sequence[Limit]:
        """What the CA limits, from its published rules or the settings; needs no CA to be opened."""
        ...


class RenewalInfos(Protocol):
    """The renewalInfo resources of all CAs (RFC 9773); asked without an account."""

    async def ask(self, directory_url: str, certificate_id: str) -> RenewalInfo | NoRenewalInfo | None:
        """None when the CA's directory has no renewalInfo."""
        ...
