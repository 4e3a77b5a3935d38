"""What stages are handed: the Protocols behind which the world stands.

Every call raises errors of `errors` only. Everything is cancellable; what has to be undone is undone by the
caller, unless a contract says otherwise.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from wellkeeper_issuer.model import Authorization, Challenge, Order
from wellkeeper_issuer.records import Event, Limit, NoRenewalInfo, Notice, Occasion, RenewalInfo
from wellkeeper_node.model import Flip, Identifier, Verified


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


class Delivery(Protocol):
    """Makes nginx serve what is installed. Any number of calls may run at once."""

    def expecting(self) -> AbstractContextManager[None]:
        """Return a context in which a call of `deliver` may follow: for a limited time, others wait for it.

        May be entered several times at once. Raises nothing.
        """
        ...

    async def deliver(self, flip: Flip) -> float:
        """Return the seconds that nginx took to load the version; that it did is on disk by then.

        One reload serves all calls that wait for one. Idempotent: a version that nginx has loaded costs a reload.
        Raises ReloadError when nginx refuses this version, which is then rolled back to `flip.before`, or when it
        cannot reload at all, and every version stays in place; InstallError when the files cannot be switched;
        JournalError when the reload cannot be recorded. Cancellable: the other calls still get their reload, and the
        next `deliver` of the same flip goes on from there.
        """
        ...

    async def verify(self, lineage: str) -> Verified:
        """Ask nginx, by handshake, for the certificate that is installed for the lineage.

        Changes nothing, so it is idempotent and cancellable. Not served yet when nginx's configuration does not name
        the certificate. Raises VerifyError when nothing usable is installed, or when the configuration names the
        certificate and nginx serves another one; InstallError when the installed files cannot be read; ReloadError
        when the configuration cannot be read.
        """
        ...


class Hooks(Protocol):
    """Commands of the administrator around a renewal."""

    async def run(self, event: Event, about: Occasion) -> None:
        """Nothing when there is no such hook. Raises HookError with what the command said."""
        ...

    def is_there(self, event: Event) -> bool: ...


class Notifications(Protocol):
    """How the administrator is told."""

    async def tell(self, notice: Notice, lineage: str, detail: str) -> None:
        """Nothing when nobody is to be told. Raises HookError when it could not be handed over."""
        ...


class CsrFiles(Protocol):
    """CSRs that the administrator made."""

    async def read_csr(self, path: str) -> bytes:
        """The bytes of the file. Raises SettingsError."""
        ...
