"""status: this host is a standby, was restored and waits, or another issuer feeds the same fleet; from disk alone."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wellkeeper_issuer.outside.state.standby import Standby, read_standby
from wellkeeper_issuer.settings import Settings

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.restored import Waiting

NEXT: Final = "Next: "


@dataclass(frozen=True, slots=True)
class Issuers:
    """`warning` is "" unless another issuer is active; `waiting` is what a restored issuer waits for, if it does."""

    standby: Standby | None = None
    warning: str = ""
    waiting: "Waiting | None" = None

    def to_json(self) -> dict[str, Any]:
        found = self.standby
        standby = {"host": found.host, "backup_at": found.backup_at.isoformat()} if found else None
        return {"standby": standby, "issuers": self.warning or None, "restore": _waiting_to_json(self.waiting)}

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
        if self.standby:
            yield self.standby.line
            yield f"{NEXT}sudo wellkeeper promote, if that issuer is lost"


def read(settings: Settings) -> Issuers:
    """Raises SettingsError, JournalError and InstallError."""
    if not settings.fleet.listen:
        return Issuers()
    from wellkeeper_issuer.assembly.node_statuses import read_issuers_warning, read_waiting

    standby = read_standby(settings.state_dir)
    waiting = None if standby else asyncio.run(read_waiting(settings))
    return Issuers(standby, asyncio.run(read_issuers_warning(settings)), waiting)


def _waiting_to_json(found: "Waiting | None") -> dict[str, Any] | None:
    if found is None:
        return None
    missing = [{"name": name, "cause": cause} for name, cause in found.missing.items()]
    return {"waits_until": found.until.isoformat() if found.until else None, "missing": missing}
