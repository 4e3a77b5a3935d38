"""The Protocols behind which disk, nginx, responders and people stand.

Every call raises errors of `errors` only. Everything is cancellable; what has to be undone is undone by the
caller, unless a contract says otherwise.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from wellkeeper_node.model import Answer, Certificate, Identifier, Installed, KeyAlgorithm, Node, Pair, ReadBack, Tested


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall clock, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds; for deadlines and durations."""
        ...

    async def sleep(self, seconds: float) -> None: ...


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
        """Fingerprints of keys (`wellkeeper_node.public_keys`), in no order."""
        ...


class Progress(Protocol):
    """Told what happens, for people and logs. Never sees a key."""

    def started(self, lineage: str, stage: str) -> None: ...

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None: ...

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None: ...

    def note(self, lineage: str, text: str) -> None: ...


class ReloadRecords(Protocol):
    """The durable record of what nginx has read."""

    async def record_reloaded(self, lineages: Sequence[str]) -> None:
        """Record that nginx took the installed versions of these lineages; durable when it returns. Idempotent."""
        ...
