"""Ask the engine who has its lease, for people: that it does not answer is a result, too."""

import re
from dataclasses import dataclass
from typing import Any

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.assembly import engines, fleets
from wellkeeper_issuer.fleet.lease import shown
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.errors import WellkeeperError


@dataclass(frozen=True, slots=True)
class Lease:
    """`holder` holds the engine's lease, None if no issuer has it; `is_here` if that is on this host.

    With a `failure`, the rest is unknown.
    """

    holder: str | None = None
    is_here: bool = False
    failure: str = ""

    def __str__(self) -> str:
        if self.failure:
            return f"cannot find out who holds the engine's lease: {self.failure}"
        if self.holder is None:
            return "no issuer holds the engine's lease"
        return f"{'this host' if self.is_here else 'another issuer'} holds the engine's lease: {shown(self.holder)}"

    @property
    def is_elsewhere(self) -> bool:
        """True if an issuer on another host has it."""
        return self.holder is not None and not self.is_here

    def to_json(self) -> dict[str, Any]:
        return {"holder": self.holder, "is_here": self.is_here, "failure": self.failure or None}


async def read_lease(settings: Settings) -> Lease:
    """Return who holds the engine's lease in the settings."""
    try:
        records = engines.issuer_records(settings, engines.required_address(settings))
        try:
            holder = await records.holder()
        finally:
            await records.close()
        own = fleets.lease_holder(settings)
    except (WellkeeperError, OSError) as error:
        return Lease(failure=one_line(error))
    return Lease(holder, holder is not None and _without_pid(holder) == _without_pid(own))


def _without_pid(holder: str) -> str:
    return re.sub(r" pid \d+ ", " ", holder)
