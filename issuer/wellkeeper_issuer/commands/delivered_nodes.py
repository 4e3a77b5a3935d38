"""Wait until the other nodes have a delivered certificate, and name those that lack it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from wellkeeper_issuer.fleet.node_status import NodeStatus
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import counted

# A node installs within seconds, and its report is recorded a second later.
_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.5
# A node reports each minute; without three reports it is away, and not waited for.
_AWAY: Final = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes that get the certificate, and by name why some do not have it yet."""

    count: int = 0
    behind: dict[str, str] = field(default_factory=dict)

    def to_text(self) -> str:
        """Return lines to print below the certificate; "" without other nodes."""
        if not self.count:
            return ""
        where = f"  on {self.count - len(self.behind)} of {counted(self.count, 'other node')}"
        return "\n".join([where, *(f"  node {name}: {cause}" for name, cause in self.behind.items())])

    def to_json(self) -> dict[str, Any]:
        return {"count": self.count, "behind": self.behind}


async def await_nodes(lineage: str, read: Callable[[], Awaitable[Sequence[NodeStatus]]], clock: Clock) -> Nodes:
    """Return how far the nodes are: once all that report have the newest version, and after half a minute in any case.

    `read` returns the present statuses. Ephemeral nodes that are gone do not count.
    """
    until = clock.monotonic() + _SECONDS
    while True:
        statuses, now = await read(), clock.now()
        found = [one for one in statuses if one.gets(lineage) and not one.absence(now)]
        behind = {one.name: lack.cause for one in found for lack in one.behind if lack.lineage == lineage}
        coming = [one for one in found if one.name in behind and one.seen_at and now - one.seen_at < _AWAY]
        if not coming or clock.monotonic() >= until:
            return Nodes(len(found), behind)
        await clock.sleep(_PAUSE_SECONDS)
