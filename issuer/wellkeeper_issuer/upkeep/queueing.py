"""Accept notices for all targets that want them; `sending` sends them."""

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wellkeeper_issuer.errors import HookError, JournalError
from wellkeeper_issuer.messages import Message
from wellkeeper_issuer.ports.people import Outbox, Target
from wellkeeper_issuer.records import Notice
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

# Per target. Ten thousand certificates that fail at once would fill a chat for hours.
MOST_WAITING: Final = 1000


@dataclass(frozen=True, slots=True)
class QueuedNotifications:
    """Implements `ports.people.Notifications`: a notice is on disk when `send` returns."""

    outbox: Outbox
    targets: Sequence[Target]
    clock: Clock

    async def send(self, notice: Notice, lineage: str, detail: str) -> None:
        wanted = [one.name for one in self.targets if one.wants(notice)]
        if not wanted:
            return
        message = Message(secrets.token_hex(16), notice, lineage, detail, self.clock.now())
        try:
            backlogs = await self.outbox.read_backlogs()
            await self.outbox.put(message, wanted, MOST_WAITING)
        except JournalError as error:
            raise HookError(f"cannot record {message.name} for your notifications", str(error)) from error
        for name in wanted:
            if name in backlogs and backlogs[name].waiting >= MOST_WAITING:
                _log.warning("notifications: %d wait for %s; the oldest was dropped", MOST_WAITING, name)
