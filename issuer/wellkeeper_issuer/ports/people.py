"""The Protocols of hooks, notifications and CSRs of administrators, which `outside` implements."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from wellkeeper_issuer.messages import Backlog, Message
from wellkeeper_issuer.records import Event, Notice, Occasion


class Hooks(Protocol):
    """Commands of the administrator around a renewal."""

    async def run(self, event: Event, about: Occasion) -> None:
        """Run the hook, if there is one. Raises HookError with the command's last output."""
        ...

    def is_there(self, event: Event) -> bool: ...


class Notifications(Protocol):
    """Notifications to the administrator."""

    async def send(self, notice: Notice, lineage: str, detail: str) -> None:
        """Accept the notice for all targets that want it. Raises HookError when it may be lost.

        `lineage` is the name of the node for a notice about one, and "" for a finding about this host.
        """
        ...


class Target(Protocol):
    """Someone who gets notices."""

    @property
    def name(self) -> str: ...

    def wants(self, notice: Notice) -> bool: ...

    async def send(self, message: Message) -> None:
        """Send it once. Raises RefusedError when the target did not want this message, else HookError."""
        ...


class Outbox(Protocol):
    """Messages on their way, by the names of targets. All methods raise JournalError."""

    @property
    def changed(self) -> asyncio.Event:
        """Set by `put`."""
        ...

    async def put(self, message: Message, targets: Sequence[str], most: int) -> None:
        """Add the message for the targets, of which each keeps the newest `most`.

        A target whose newest message about the subject says the same, and is less than an hour old, gets it once.
        """
        ...

    async def read_waiting(self, target: str) -> Sequence[Message]:
        """Return what was not sent, the oldest first."""
        ...

    async def record_sent(self, target: str, message_id: str) -> None:
        """Record that the target accepts messages, such as this one. Idempotent."""
        ...

    async def forget(self, target: str, message_id: str) -> None:
        """Drop the message, and the trouble of a target for which nothing waits then. Idempotent."""
        ...

    async def record_trouble(self, target: str, error: str, at: datetime) -> None:
        """Record the last error; the time is that of the first one since the target accepted a message."""
        ...

    async def read_backlogs(self) -> Mapping[str, Backlog]:
        """Return those of all targets for which something waits, or that have an error."""
        ...


class CsrFiles(Protocol):
    """CSRs of the administrator."""

    async def read_csr(self, path: str) -> bytes:
        """Return the content of the file. Raises SettingsError."""
        ...
