"""The functions that the daemon's service gets from its assembly: make a worker for settings, rehearse, forget."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.records import Rehearsal
from wellkeeper_issuer.reports import Mode, Report
from wellkeeper_issuer.settings import Settings


class Worker(Protocol):
    """The interface of `wellkeeper_issuer.daemon.Daemon`."""

    async def run(self) -> None: ...

    async def work(self, lineages: Sequence[Lineage], mode: Mode) -> list[Report]: ...

    def replace(self, lineages: Sequence[Lineage]) -> None: ...

    def slot(self, name: str) -> AbstractAsyncContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class Factories:
    """Make a worker, rehearse and forget; `reloading` and `ready` report to the service manager.

    `checked` returns what the daily checks found, as docs/json.md has it.
    """

    worker: Callable[[Settings], AbstractAsyncContextManager[Worker]]
    rehearse: Callable[[Settings, Sequence[Lineage]], Awaitable[Sequence[Rehearsal]]]
    forget: Callable[[str], Awaitable[None]]
    reloading: Callable[[], None]
    ready: Callable[[str], None]
    checked: Callable[[], Mapping[str, Any]]
