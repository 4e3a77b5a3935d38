"""Forget ephemeral nodes that have not been seen for a day, as `node remove` does. docs/design/0025-joining.md

Nodes cannot be seen while the issuer is away, or the relay or engine, as some follow only one of them; and a clock may
be set forward. So a node has 15 minutes to report after this process finds it to be gone.
"""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_issuer.fleet.node_status import is_to_be_forgotten
from wellkeeper_issuer.ports.fleet import EnrolledNode, FleetRecords
from wellkeeper_issuer.ports.people import Notifications
from wellkeeper_issuer.records import Notice
from wellkeeper_node.happened import NO_HISTORY, Happened, History, What, record
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import format_time

_log = logging.getLogger(__name__)

_LISTENING_SECONDS: Final = 900.0
# Each needs a connection; a process may have 1024 files open.
_NOTICES_AT_ONCE: Final = 100


@dataclass(slots=True)
class Forgetting:
    """`forget` is called with each beat of the fleet."""

    records: FleetRecords
    notifications: Notifications
    clock: Clock
    history: History = NO_HISTORY
    _found: dict[str, float] = field(default_factory=dict)
    _outages: int = 0

    async def forget(self, fleet: Fleet) -> None:
        """Remove the nodes that are gone. Raises JournalError."""
        is_away = any(one.failure or not one.heard.is_set() for one in fleet.feeds)
        if is_away or fleet.feed.outages != self._outages:
            self._outages = fleet.feed.outages
            self._found = {}
            return
        wall, now = self.clock.now(), self.clock.monotonic()
        gone = [one for one in fleet.nodes.values() if is_to_be_forgotten(one, fleet.reports.seen_at(one.name), wall)]
        self._found = {one.name: self._found.get(one.name, now) for one in gone}
        late = [one for one in gone if now - self._found[one.name] >= _LISTENING_SECONDS]
        details = {one.name: await self._forget(fleet, one) for one in late}
        # At the same time: new nodes wait for the beat, which a slow webhook would hold up once per node.
        room = asyncio.Semaphore(_NOTICES_AT_ONCE)
        await asyncio.gather(*(self._notify(name, detail, room) for name, detail in details.items()))

    async def _forget(self, fleet: Fleet, node: EnrolledNode) -> str:
        since = fleet.reports.seen_at(node.name) or node.enrolled_at
        detail = f"it is ephemeral, and was not seen since {format_time(since)}"
        await self.records.forget_node(node.name)
        _log.info("node %r was removed: %s", node.name, detail)
        await record(self.history, Happened(What.NODE_REMOVED, node.name, {"unseen_since": format_time(since)}))
        return detail

    async def _notify(self, node: str, detail: str, room: asyncio.Semaphore) -> None:
        try:
            async with room:
                await self.notifications.send(Notice.FORGOTTEN, node, detail)
        except HookError as error:
            _log.error("%s", error)
