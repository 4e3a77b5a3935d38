"""The Protocols of certificate authorities, which `outside.ca` implements."""

from collections.abc import Sequence
from typing import Protocol

from wellkeeper_issuer.model import Authorization, Challenge, Order
from wellkeeper_issuer.records import Limit, NoRenewalInfo, RenewalInfo
from wellkeeper_node.model import Identifier


class CertificateAuthority(Protocol):
    """An ACME server, with our account at it (RFC 8555). Retries badNonce itself; does not poll."""

    @property
    def name(self) -> str:
        """The name in the settings, else the host."""
        ...

    @property
    def directory_url(self) -> str: ...

    @property
    def thumbprint(self) -> str:
        """The RFC 7638 thumbprint of the account key: the second half of every key authorization."""
        ...

    async def account_url(self) -> str:
        """Return the account's URL; register the account if there is none on record."""
        ...

    async def prepare(self) -> None:
        """Do all that `new_order` needs first: directory, account, nonce. Cancellable at any time, and idempotent."""
        ...

    async def new_order(self, identifiers: Sequence[Identifier], profile: str | None, replaces: str | None) -> Order:
        """Place an order. Not idempotent: record the URL before anything else.

        `replaces` is the RFC 9773 name of the predecessor, sent only when the directory has renewalInfo. `profile`
        defaults to that of the CA's settings; one that the directory does not offer raises OrderError.
        """
        ...

    async def read_order(self, url: str) -> Order | None:
        """Return the order; None when the CA does not have it (any more)."""
        ...

    async def read_authorization(self, url: str) -> Authorization: ...

    async def deactivate_authorization(self, url: str) -> None:
        """Make the CA validate the identifier again (RFC 8555 section 7.5.2). Raises ChallengeError."""
        ...

    async def answer_challenge(self, challenge: Challenge) -> None:
        """Respond to a pending challenge of a pending authorization (read again first)."""
        ...

    async def finalize(self, order: Order, csr_der: bytes) -> Order:
        """Finalize an order that is ready, and return it; after orderNotReady, return its current state."""
        ...

    async def read_chain(self, order: Order) -> bytes:
        """Return the chain of a valid order, PEM, unchecked; the preferred chain of the settings if the CA has it."""
        ...


class Authorities(Protocol):
    """The configured CAs."""

    @property
    def directory_urls(self) -> Sequence[str]:
        """The directory URLs of all configured CAs."""
        ...

    async def load(self, directory_url: str) -> None:
        """Load the code that `open` needs, while the CA's first reply is under way. Optional; raises nothing."""
        ...

    def open(self, directory_url: str) -> CertificateAuthority:
        """Return the CA, always the same object for one directory URL; the first call loads it."""
        ...

    def limits(self, directory_url: str) -> Sequence[Limit]:
        """Return the CA's limits, published or from the settings, without opening the CA."""
        ...


class RenewalInfos(Protocol):
    """The renewalInfo resources of all CAs (RFC 9773), read without an account."""

    async def ask(self, directory_url: str, certificate_id: str) -> RenewalInfo | NoRenewalInfo | None:
        """Return the renewal info, or the reason why there is none; None when the directory has no renewalInfo."""
        ...
