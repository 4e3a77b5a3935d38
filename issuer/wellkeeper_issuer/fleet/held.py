"""Versions that are kept from nodes, because nginx ended here when it loaded them."""

import logging
import math
from dataclasses import dataclass, field
from typing import Final

from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

# An nginx that ended here may have ended for another reason, and nodes need a certificate before theirs expire.
_HELD_SECONDS: Final = 86_400.0


@dataclass(slots=True)
class Held:
    """Remembers them in memory, for a day."""

    clock: Clock
    _until: dict[tuple[str, str], float] = field(default_factory=dict)

    def add(self, lineage: str, version: str) -> None:
        """Keep the version from nodes until a day after the first time, or until its lineage is released."""
        if (lineage, version) in self._until:
            return  # each try may end nginx again
        self._until[lineage, version] = self.clock.monotonic() + _HELD_SECONDS
        _log.warning(
            "nginx here ended when it loaded certificates: nodes do not get the new version of %s for a day, or until"
            " nginx here loads it",
            lineage,
        )

    def has(self, lineage: str, version: str) -> bool:
        """Return whether the version is kept from nodes."""
        return self.clock.monotonic() < self._until.get((lineage, version), -math.inf)

    def release(self, lineage: str) -> None:
        """Forget all versions of the lineage."""
        self._until = {one: until for one, until in self._until.items() if one[0] != lineage}
