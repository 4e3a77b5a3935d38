"""A check of doctor: its ids, and the function that runs it; the lists are in `assembly.doctor`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from wellkeeper_node.findings import Finding

Context = TypeVar("Context")

# nginx needs 10 s to read 10 000 server blocks, and more on a busy host.
_DEFAULT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Network:
    """The network that checks may use: none, or any, with these DNS servers (host, port) or those of this host."""

    is_offline: bool = False
    dns_servers: tuple[tuple[str, int], ...] = ()


class NotCheckedError(Exception):
    """A check cannot be run, for this reason: its finding is `skipped`. One line without a full stop."""


@dataclass(frozen=True, slots=True)
class Check(Generic[Context]):
    """One check. Read-only, idempotent and cancellable; only bugs and NotCheckedError leave `run`.

    `ids` are those of all findings that it may return: each is skipped where the check is, and where it did not end
    within `seconds` or has a bug, which is a failure of the first one. `is_cheap` checks are run daily by the daemon.
    `needs_network` checks contact other hosts, and are skipped with --offline.
    """

    ids: tuple[str, ...]
    run: Callable[[Context], Awaitable[Sequence[Finding]]]
    is_cheap: bool = False
    needs_network: bool = False
    seconds: float = _DEFAULT_SECONDS

    @property
    def name(self) -> str:
        return self.ids[0]
