"""status: this host is a standby, was restored and waits, or another issuer feeds the same fleet; from disk, and
from the engine, which is asked who has its lease.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wellkeeper_issuer.outside.state.standby import Standby, Watch, read_standby, read_watch
from wellkeeper_issuer.settings import Settings

if TYPE_CHECKING:
    from wellkeeper_issuer.assembly.leases import Lease
    from wellkeeper_issuer.fleet.restored import Waiting

NEXT: Final = "Next: "


@dataclass(frozen=True, slots=True)
class Issuers:
    """`warning` is "" unless another issuer is active; `waiting` is what a restored issuer waits for, if it does.

    `lease` is that of the engine, if there is one; `watch` the last look of a standby that waits to take over.
    """

    standby: Standby | None = None
    warning: str = ""
    waiting: "Waiting | None" = None
    lease: "Lease | None" = None
    watch: Watch | None = None

    def to_json(self) -> dict[str, Any]:
        found = self.standby
        standby = {"host": found.host, "backup_at": found.backup_at.isoformat()} if found else None
        return {
            "standby": standby,
            "issuers": self.warning or None,
            "restore": _waiting_to_json(self.waiting),
            "lease": self.lease.to_json() if self.lease else None,
            "takeover": self.watch.to_json() if self.watch else None,
        }

    def problems(self) -> list[str]:
        """Return what needs a person."""
        found = self.waiting_lines()
        found += [self.warning] if self.warning else []
        if self.watch is not None and not self.watch.is_expected:
            found.append(f"this standby does not take over: {self.watch.why}")
        if not self.standby and self.lease is not None and self.lease.is_elsewhere:
            found.append(f"this issuer does nothing: {self.lease}")
        return found

    def waiting_lines(self) -> list[str]:
        """Return what to show about the wait."""
        if self.waiting is None:
            return []
        from wellkeeper_issuer.fleet.restored import REMEDY

        return [f"{self.waiting}.", f"Until then it orders nothing. {REMEDY}"]

    def after(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the last lines of the status, and what to know about issuers."""
        yield from (one for one in lines if not (self.standby and one.startswith(NEXT)))
        if self.warning:
            yield self.warning
        if self.lease:
            yield str(self.lease)
        if self.standby:
            yield from self._standby_lines(self.standby)

    def _standby_lines(self, standby: Standby) -> Iterator[str]:
        yield standby.line
        if self.watch is not None:
            yield f"waiting to take over: {self.watch.why}"
            return
        if self.lease is not None:
            yield "'wellkeeper run' is not running here, so this standby will not take over"
        yield f"{NEXT}sudo wellkeeper promote, if that issuer is lost"


def read(settings: Settings) -> Issuers:
    """Raises SettingsError, JournalError and InstallError."""
    if not settings.fleet.listen:
        return Issuers()
    from wellkeeper_issuer.assembly.leases import read_lease
    from wellkeeper_issuer.assembly.node_statuses import read_issuers_warning, read_waiting
    from wellkeeper_node.clock import SystemClock

    standby = read_standby(settings.state_dir)
    waiting = None if standby else asyncio.run(read_waiting(settings))
    watch = read_watch(settings.state_dir, SystemClock().now()) if standby else None
    warning = asyncio.run(read_issuers_warning(settings))
    lease = asyncio.run(read_lease(settings)) if settings.fleet.engine.address else None
    return Issuers(standby, warning, waiting, lease, watch)


def _waiting_to_json(found: "Waiting | None") -> dict[str, Any] | None:
    if found is None:
        return None
    missing = [{"name": name, "cause": cause} for name, cause in found.missing.items()]
    return {"waits_until": found.until.isoformat() if found.until else None, "missing": missing}
