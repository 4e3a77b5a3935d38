"""What stages are handed: the Protocols behind which the world stands.

Every call raises errors of `errors` only. Everything is cancellable; what has to be undone is undone by the
caller, unless a contract says otherwise.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from wellkeeper_issuer.model import (
    Answer,
    Authorization,
    Certificate,
    Challenge,
    Identifier,
    Installed,
    KeyAlgorithm,
    Node,
    Order,
    Pair,
    ReadBack,
    Tested,
)
from wellkeeper_issuer.records import Event, Limit, NoRenewalInfo, Notice, Occasion, RenewalInfo


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall clock, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds; for deadlines and durations."""
        ...

    async def sleep(self, seconds: float) -> None: ...


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


class Watch(Protocol):
    """What responders report about the fetches of one token."""

    async def settle(self, quiet_seconds: float, timeout_seconds: float) -> bool:
        """True once at least one fetch came since the last call and none for `quiet_seconds`; False after the time-out.

        Read-backs do not count.
        """
        ...


class Responders(Protocol):
    """All responders of all nodes, as one."""

    def publish(self, answers: Sequence[Answer]) -> AbstractAsyncContextManager[None]:
        """All responders hold the answers inside; leaving withdraws them, whatever happened.

        Raises PublishError, naming every node that did not take them. While inside, a responder that restarted is
        handed the answers again.
        """
        ...

    def watch(self, token: str) -> AbstractAsyncContextManager[Watch]:
        """Counts from the moment of entering."""
        ...


class Probes(Protocol):
    """Questions to a node's own nginx, at the addresses that the settings give."""

    async def read_back(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        """Asks every HTTP address as the CA will, following redirects to the same node; one result each, in order."""
        ...

    async def handshake(
        self, address: tuple[str, int], identifier: Identifier, key_algorithm: KeyAlgorithm | None = None
    ) -> Certificate | None:
        """The leaf that is served for the identifier (no SNI for an IP address); None when the handshake is refused.

        With `key_algorithm`, the leaf for a client that takes no other, over TLS 1.2. Raises VerifyError when nothing
        listens there or no answer comes in time.
        """
        ...


class Nginx(Protocol):
    """The nginx of this node."""

    async def test(self) -> Tested:
        """`nginx -t`. Raises ReloadError when it cannot be run."""
        ...

    async def reload(self, tested: Tested) -> int:
        """Returns once reloaded: new workers under the same master, none of the old ones accepting.

        The result is the number of old workers that still finish requests: they are not waited for. Raises ReloadError
        with nginx's words when it refuses; how long that takes to find out scales with `tested.seconds`.
        """
        ...

    async def finishing(self) -> int:
        """How many old workers still finish requests; 0 when nginx does not run."""
        ...

    async def mentions(self, path: str) -> bool:
        """Whether the configuration on disk (`nginx -T`) contains the path."""
        ...


class Certificates(Protocol):
    """`certificates_dir`: `archive/<lineage>/<version>/{fullchain,privkey}.pem` and `live/<lineage>`.

    A pair without a key has no `privkey.pem`.
    """

    def live_path(self, lineage: str) -> str:
        """The path of the folder that nginx is told to read: `<certificates_dir>/live/<lineage>`."""
        ...

    async def write(self, lineage: str, pair: Pair) -> str:
        """Puts the pair on durable storage and returns its version; idempotent: an equal pair is not written again."""
        ...

    async def switch(self, lineage: str, version: str | None) -> str | None:
        """Points `live/<lineage>` to the version by one rename and returns what it pointed to; None is *no link*."""
        ...

    async def installed(self, lineage: str) -> Installed | None:
        """What is live now; None when there is nothing usable."""
        ...

    async def read_pair(self, lineage: str) -> Pair | None:
        """As `installed`, the files themselves."""
        ...

    async def disown_key(self, lineage: str) -> None:
        """The key of what is live is not for certificates of this lineage any more: it was compromised. Idempotent."""
        ...

    async def disowned_keys(self, lineage: str) -> frozenset[str]:
        """Fingerprints of keys (`wellkeeper_issuer.public_keys`), in no order."""
        ...


class CsrFiles(Protocol):
    """CSRs that the administrator made."""

    async def read_csr(self, path: str) -> bytes:
        """The bytes of the file. Raises SettingsError."""
        ...


class Progress(Protocol):
    """Told what happens, for people and logs. Never sees a key."""

    def started(self, lineage: str, stage: str) -> None: ...

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None: ...

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None: ...

    def note(self, lineage: str, text: str) -> None: ...
