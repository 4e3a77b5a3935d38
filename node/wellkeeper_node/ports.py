"""The Protocols of the disk, nginx, responders and progress reports.

Every call raises only errors of `errors`. Everything is cancellable; the caller undoes what must be undone, unless a
contract says otherwise.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from wellkeeper_node.model import (
    Answer,
    Certificate,
    ExpectedFetches,
    Identifier,
    Installed,
    KeyAlgorithm,
    Node,
    Old,
    Pair,
    Published,
    ReadBack,
    Server,
    Tested,
)


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the wall-clock time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds for deadlines and durations."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class Watch(Protocol):
    """The fetches of one token that responders report."""

    @property
    def clients(self) -> Sequence[str]:
        """Return the addresses that fetched the token since it was watched, as nginx passed them; the first few."""
        ...

    @property
    def count(self) -> int:
        """Return the number of fetches since the token was watched."""
        ...

    async def settle(
        self, quiet_seconds: float, timeout_seconds: float, expected: ExpectedFetches | None = None
    ) -> bool:
        """Return True once a fetch came since the last call and none for `quiet_seconds`; False after the timeout.

        After `expected.count` fetches, `expected.quiet_seconds` are enough. Read-backs do not count.
        """
        ...


class PublicationRecords(Protocol):
    """Publications that responders may hold, recorded before they get them, and until all have withdrawn them."""

    async def record_publications(self, published: Sequence[Published], now: int) -> None:
        """Record all or none, and forget those that have expired."""
        ...

    async def forget_publications(self, published: Sequence[Published]) -> None:
        """Idempotent."""
        ...

    async def read_publications(self, lineage: str) -> Sequence[Published]:
        """Return those of the lineage, except those that orders under way of other lineages need."""
        ...

    async def read_unneeded(self) -> Sequence[Published]:
        """Return those that no order under way needs."""
        ...


class Responders(Protocol):
    """All responders of all nodes, as one."""

    def publish(self, answers: Sequence[Answer], lineage: str = "") -> AbstractAsyncContextManager[None]:
        """Publish the answers at all responders; leaving the context withdraws them in any case.

        Waits a few seconds for a responder that restarts. Raises PublishError, naming the nodes that did not accept
        them (the first few of many). Inside, a responder that restarts gets the answers again. With a lineage, they
        are recorded first, so that `withdraw_left` of another process can withdraw them.
        """
        ...

    async def withdraw_left(self, lineage: str = "") -> None:
        """Withdraw what a process that was killed left for the lineage; without one, all that no order needs.

        Idempotent; what a responder keeps expires.
        """
        ...

    async def publish_again(self, answers: Sequence[Answer]) -> bool:
        """Publish answers that are published already; return True if a responder restarted since. Idempotent.

        Raises PublishError, as `publish` does.
        """
        ...

    def watch(self, token: str) -> AbstractAsyncContextManager[Watch]:
        """Watch the fetches of the token from the moment of entering."""
        ...


class Probes(Protocol):
    """Requests to a node's own nginx, at the addresses in the settings."""

    async def read_back(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        """Ask every HTTP address as the CA will, following redirects to the same node; one result each, in order."""
        ...

    async def handshake(
        self,
        address: tuple[str, int],
        identifier: Identifier,
        key_algorithm: KeyAlgorithm | None = None,
        speaks_proxy_protocol: bool | None = None,
    ) -> Certificate | None:
        """Return the leaf served for the identifier (no SNI for an IP address); None when the handshake is refused.

        The host of `address` may be `unix:PATH`. With `key_algorithm`, the leaf for a client that accepts no other,
        over TLS 1.2. `speaks_proxy_protocol` is None where the settings decide. Raises VerifyError when nothing
        listens there or no answer comes in time.
        """
        ...


class Nginx(Protocol):
    """The nginx of this node."""

    async def prove(self) -> None:
        """Prove that nginx runs, and can be tested and reloaded now; changes nothing. Raises ReloadError."""
        ...

    async def test(self) -> Tested | None:
        """Run `nginx -t`; None where only a reload can test. Raises ReloadError when it cannot be run."""
        ...

    async def reload(self, tested: Tested | None) -> int:
        """Return once reloaded: new workers under the same master, no old ones accepting.

        The result is the number of old workers that still finish requests; the call does not wait for them. Raises
        RefusedError with nginx's words when it keeps the old configuration, after a time that scales with
        `tested.seconds`, or without a test with the time that reloads took; ReloadError when anything else fails.
        """
        ...

    async def finishing(self) -> int:
        """Return the number of old workers that still finish requests; 0 when nginx does not run."""
        ...

    async def servers(self) -> Sequence[Server]:
        """Return the server blocks of the configuration on disk (`nginx -T`). Raises ReloadError when it fails."""
        ...

    async def named(self, folders: Collection[str]) -> Mapping[str, str]:
        """Return those of the directories of which the configuration on disk names a file, by whatever path.

        The values are the file and line that do. Raises ReloadError when the configuration cannot be read.
        """
        ...


class Certificates(Protocol):
    """The `certificates_dir`: `archive/<lineage>/<version>/{fullchain,privkey}.pem` and `live/<lineage>`.

    A pair without a key does not have a `privkey.pem`.
    """

    def live_path(self, lineage: str) -> str:
        """Return the directory that nginx reads: `<certificates_dir>/live/<lineage>`."""
        ...

    async def versions(self, lineage: str) -> Sequence[str]:
        """Return the names of all versions in the archive, the oldest first; each contains its leaf's fingerprint."""
        ...

    def own_prefixes(self, lineage: str) -> tuple[str, ...]:
        """Return what the paths, without symbolic links, of all files of the lineage's versions begin with."""
        ...

    async def write(self, lineage: str, pair: Pair) -> str:
        """Write the pair to durable storage and return its version; idempotent: an equal pair is not written again."""
        ...

    async def prove(self, lineage: str) -> None:
        """Prove that a version can be written and switched to now; changes nothing. Raises InstallError."""
        ...

    async def switch(self, lineage: str, version: str | None) -> str | None:
        """Point `live/<lineage>` to the version by one rename and return the previous one; None means *no link*.

        Raises MissingVersionError when the archive does not have the version.
        """
        ...

    async def old_versions(self, lineage: str, now: datetime) -> Sequence[Old]:
        """Return the versions that are not needed: surplus or long expired; never the live one."""
        ...

    async def remove_versions(self, lineage: str, versions: Collection[str]) -> None:
        """Remove them, each with all its files at once, except the live one. Idempotent."""
        ...

    async def installed(self, lineage: str) -> Installed | None:
        """Return the live certificate; None when there is no usable one."""
        ...

    async def read_pair(self, lineage: str) -> Pair | None:
        """Return the files of the live certificate; None when there is no usable one."""
        ...

    async def restore(self, lineage: str, is_wanted: Callable[[Installed], bool]) -> Installed | None:
        """Switch to the newest usable version that is wanted and neither disowned nor revoked, and return it.

        None when there is none, and then nothing changes. A version whose files can be put together again counts as
        usable, and is written again.
        """
        ...

    async def mark_revoked(self, lineage: str) -> None:
        """Never restore the live version again: it was revoked. Idempotent."""
        ...

    async def disown_key(self, lineage: str) -> None:
        """Never use the live key for this lineage again: it was compromised. Idempotent."""
        ...

    async def disowned_keys(self, lineage: str) -> frozenset[str]:
        """Return the fingerprints of disowned keys (`wellkeeper_node.public_keys`)."""
        ...


class Progress(Protocol):
    """The reports on a renewal, for terminals and logs. Never gets a key."""

    def started(self, lineage: str, stage: str) -> None: ...

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None: ...

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None: ...

    def note(self, lineage: str, text: str) -> None: ...


class ReloadRecords(Protocol):
    """The durable record of the versions that nginx loaded."""

    async def record_reloaded(self, lineages: Sequence[str]) -> None:
        """Record that nginx loaded the installed versions of these lineages; durable when it returns. Idempotent."""
        ...
