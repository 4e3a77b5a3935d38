"""The Protocols of nodes: of this host's, which the node package implements, and of those behind a relay."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from wellkeeper_node.model import Answer, Flip, ReadBack, Verified


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
        next `deliver` of the same flip resumes there.
        """
        ...

    async def prune(self, lineages: Mapping[str, Sequence[tuple[str, int]] | None]) -> None:
        """Remove the versions of these lineages that are not needed, except those that nginx names or serves.

        The values are addresses that nginx's configuration does not show but the settings do.
        Idempotent. Raises InstallError, and ReloadError when nginx's configuration cannot be read; nothing is removed
        then.
        """
        ...

    async def verify(self, lineage: str, https_addresses: Sequence[tuple[str, int]] | None = None) -> Verified:
        """Ask nginx, by handshake, for the certificate that is installed for the lineage.

        `https_addresses` are where it must be served; by default wherever nginx's configuration names it. Hidden where
        no handshake can be made. Changes nothing, so it is idempotent and cancellable. Not served yet when nginx's
        configuration does not name the certificate. Raises VerifyError when nothing usable is installed, or when the
        configuration names the certificate and nginx serves another one; InstallError when the installed files cannot
        be read; ReloadError when the configuration cannot be read.
        """
        ...


class RemoteReadBacks(Protocol):
    """The read-backs that nodes behind a relay make themselves, and report."""

    def has_nodes(self) -> bool:
        """Return whether there is any node."""
        ...

    async def failures(self, answers: Sequence[Answer], without: Collection[str] = ()) -> Sequence[ReadBack]:
        """Return what failed on the nodes that answer challenges, except those in `without`; also who did not report.

        The answers are published. Waits some seconds for reports. Raises nothing.
        """
        ...
