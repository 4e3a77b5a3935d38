"""status: this host is a standby for the issuer, or another issuer feeds the same fleet; from disk alone."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from wellkeeper_issuer.outside.state.standby import Standby, read_standby
from wellkeeper_issuer.settings import Settings

NEXT: Final = "Next: "


@dataclass(frozen=True, slots=True)
class Issuers:
    """`warning` is "" unless another issuer is active."""

    standby: Standby | None
    warning: str

    def to_json(self) -> dict[str, dict[str, str] | str | None]:
        found = self.standby
        standby = {"host": found.host, "backup_at": found.backup_at.isoformat()} if found else None
        return {"standby": standby, "issuers": self.warning or None}

    def after(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the last lines of the status, and what to know about issuers."""
        yield from (one for one in lines if not (self.standby and one.startswith(NEXT)))
        if self.warning:
            yield self.warning
        if self.standby:
            yield self.standby.line
            yield f"{NEXT}sudo wellkeeper promote, if that issuer is lost"


def read(settings: Settings) -> Issuers:
    """Raises SettingsError and JournalError."""
    if not settings.fleet.listen:
        return Issuers(None, "")
    from wellkeeper_issuer.assembly.node_statuses import read_issuers_warning

    return Issuers(read_standby(settings.state_dir), asyncio.run(read_issuers_warning(settings)))
