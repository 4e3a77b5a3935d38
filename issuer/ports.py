"""What stages are handed: the Protocols behind which the world stands.

Every call raises errors of `issuer.errors` only. Everything is cancellable; what has to be undone is undone by the
caller, unless a contract says otherwise.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from issuer.model import (
    Answer,
    Attempt,
    Authorization,
    Certificate,
    Challenge,
    Flip,
    Identifier,
    Installed,
    KeyAlgorithm,
    Node,
    Order,
    Pair,
    ReadBack,
    Tested,
)


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
    def directory_url(self) -> str: ...

    @property
    def thumbprint(self) -> str:
        """RFC 7638 thumbprint of the account key: the second half of every key authorization."""
        ...

    async def new_order(self, identifiers: Sequence[Identifier], profile: str | None) -> Order:
        """Not idempotent: record the URL before anything else."""
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
        """The chain of a valid order, PEM, unchecked."""
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

    async def mentions(self, path: str) -> bool:
        """Whether the configuration on disk (`nginx -T`) contains the path."""
        ...


class Certificates(Protocol):
    """`certificates_dir`: `archive/<lineage>/<version>/{fullchain,privkey}.pem` and `live/<lineage>`."""

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


class Journal(Protocol):
    """The state on disk; a call returns when its row is durable (but for `read_…`). Raises JournalError."""

    async def read_attempt(self, lineage: str) -> Attempt | None: ...

    async def record_attempt(self, attempt: Attempt) -> None:
        """Replaces what was there for the lineage."""
        ...

    async def forget_attempt(self, lineage: str) -> None:
        """Idempotent; what leads nowhere must not be resumed."""
        ...

    async def record_order(self, lineage: str, order_url: str) -> None: ...

    async def record_chain(self, lineage: str, chain_pem: bytes) -> None: ...

    async def record_flip(self, flip: Flip) -> None:
        """The attempt is installed: its key and chain (and a veto) leave the journal for a delivery to prove."""
        ...

    async def read_veto(self, lineage: str) -> datetime | None:
        """When the CA is asked though the read-back fails; None when it did not fail."""
        ...

    async def record_veto(self, lineage: str, asks_at: datetime) -> None: ...

    async def forget_veto(self, lineage: str) -> None:
        """Idempotent."""
        ...

    async def read_directory_url(self, lineage: str) -> str | None:
        """The directory of the CA that issued what is installed; None when nobody wrote it down."""
        ...

    async def installed(self) -> frozenset[str]:
        """The lineages of which it knows a version that was installed."""
        ...

    async def record_found(self, flip: Flip) -> None:
        """What is installed though nobody wrote it down (the state was lost): a delivery to prove, by an unknown CA."""
        ...

    async def undelivered(self) -> dict[str, Flip]:
        """By lineage: what is installed (or was rolled back) and nginx was not proven to have taken yet."""
        ...

    async def unserved(self) -> frozenset[str]:
        """Lineages that nginx has read, but was not proven to serve."""
        ...

    async def record_reloaded(self, lineages: Sequence[str]) -> None:
        """Idempotent."""
        ...

    async def record_served(self, lineage: str) -> None:
        """Idempotent."""
        ...


class Progress(Protocol):
    """Told what happens, for people and logs. Never sees a key."""

    def started(self, lineage: str, stage: str) -> None: ...

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None: ...

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None: ...

    def note(self, lineage: str, text: str) -> None: ...
