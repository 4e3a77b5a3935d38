"""Notify the administrator, once each, of a node that is behind or unseen for long, and that it has everything."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_issuer.fleet.node_status import Listed, NodeStatus, node_statuses
from wellkeeper_issuer.fleet.ports import Bundles
from wellkeeper_issuer.ports.people import Notifications
from wellkeeper_issuer.ports.state import Notes
from wellkeeper_issuer.records import Notice
from wellkeeper_node.bundles.manifest import Entry
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import counted

_log = logging.getLogger(__name__)

_PREFIX: Final = "node/"
_ISSUERS: Final = "fleet/issuers"
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NodeNotices:
    """Keeps what was sent in the state: a restart neither forgets nor repeats anything."""

    notes: Notes
    notifications: Notifications
    bundles: Bundles
    clock: Clock

    async def notify(self, fleet: Fleet) -> None:
        """Send what is owed; a notice that cannot be sent stays owed. Raises JournalError and SettingsError."""
        listed = await read_listed(fleet.distribution.listed, self.bundles)
        await self._about_issuers(fleet.others.warning)
        found = node_statuses(fleet.nodes, fleet.reports.last, listed)
        sent, present = await self.notes.read_notices(), {_key(one.name) for one in found}
        for key in sent:
            if key.startswith(_PREFIX) and key not in present:
                await self.notes.forget_notices(key)
        for one in found:
            await self._about(one, sent.get(_key(one.name), frozenset()))

    async def _about_issuers(self, warning: str) -> None:
        """Send once that another issuer is active, until it is not."""
        is_sent = bool((await self.notes.read_notices([_ISSUERS])).get(_ISSUERS))
        if not warning and is_sent:
            await self.notes.forget_notices(_ISSUERS)
        if not warning or is_sent:
            return
        try:
            await self.notifications.send(Notice.FINDING, "", warning)
        except HookError as error:
            _log.error("%s", error)
        else:
            await self.notes.record_notice(_ISSUERS, Notice.FINDING)

    async def _about(self, status: NodeStatus, sent: Collection[Notice]) -> None:
        now = self.clock.now()
        owed = None if status.absence(now) else _owed(status, sent, now)
        if owed is None:
            return
        notice, detail = owed
        _log.log(logging.WARNING if notice is Notice.BEHIND else logging.INFO, "node %r: %s", status.name, detail)
        try:
            await self.notifications.send(notice, status.name, detail)
        except HookError as error:
            _log.error("%s", error)
            return
        if notice is Notice.CAUGHT_UP:
            await self.notes.forget_notices(_key(status.name))
        await self.notes.record_notice(_key(status.name), notice)


def _owed(status: NodeStatus, sent: Collection[Notice], now: datetime) -> tuple[Notice, str] | None:
    """Return the notice to send now, and what it says."""
    if problem := status.problem(now):
        return None if Notice.BEHIND in sent else (Notice.BEHIND, problem)
    if Notice.BEHIND in sent:
        return Notice.CAUGHT_UP, "it has everything again"
    if Notice.CAUGHT_UP not in sent and status.has_everything:
        return Notice.CAUGHT_UP, f"it has everything: {counted(status.total, 'certificate')}"
    return None


async def read_listed(entries: Mapping[str, Entry], bundles: Bundles) -> Mapping[str, Listed]:
    """Return the certificates of the manifest with the times at which they were sealed. Raises SettingsError."""

    def read() -> dict[str, Listed]:
        return {name: Listed(entry, bundles.sealed_at(name) or _LONG_AGO) for name, entry in entries.items()}

    return await asyncio.to_thread(read)


def _key(node: str) -> str:
    """Return what no certificate is named."""
    return f"{_PREFIX}{node}"
