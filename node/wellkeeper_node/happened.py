"""Events of a history: what happened, to what, and who did it. Pure; `wellkeeper_node.history` writes them.

Nothing in them is secret.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol


class What(StrEnum):
    """All kinds of events. The subject is a node, an invite, a certificate, a CA, a kind of key, a file, or a host."""

    NODE_INVITED = "node-invited"
    INVITE_EXPIRED = "invite-expired"
    INVITE_REVOKED = "invite-revoked"
    NODE_ADDED = "node-added"
    NODE_JOINED = "node-joined"
    NODE_REKEYED = "node-rekeyed"
    NODE_REMOVED = "node-removed"
    CERTIFICATE_ADDED = "certificate-added"
    CERTIFICATE_REQUESTED = "certificate-requested"
    CERTIFICATE_ISSUED = "certificate-issued"
    CERTIFICATE_DELIVERED = "certificate-delivered"
    CERTIFICATE_REFUSED = "certificate-refused"
    CERTIFICATE_ROLLED_BACK = "certificate-rolled-back"
    CERTIFICATE_REVOKED = "certificate-revoked"
    CERTIFICATE_REMOVED = "certificate-removed"
    KEY_MADE = "key-made"
    KEY_SWITCHED = "key-switched"
    KEY_RETIRED = "key-retired"
    ACCOUNT_REGISTERED = "account-registered"
    ACCOUNT_DEACTIVATED = "account-deactivated"
    SETTINGS_WRITTEN = "settings-written"
    TRUST_WRITTEN = "trust-written"
    BACKUP_WRITTEN = "backup-written"
    BACKUP_RESTORED = "backup-restored"
    STANDBY_PROMOTED = "standby-promoted"


# A node may cause as many of them as it likes.
OF_NODES: Final = frozenset({What.CERTIFICATE_DELIVERED, What.CERTIFICATE_REFUSED, What.NODE_REKEYED})


@dataclass(frozen=True, slots=True)
class Happened:
    """One event; the details are words by name."""

    what: What
    subject: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Author:
    """The user and command line of a process; `sudo_user` is what the environment says, "" without sudo."""

    user: str
    command: str
    sudo_user: str = ""


class History(Protocol):
    """Keeps what happened."""

    def add(self, *happened: Happened) -> None:
        """Record it durably; blocks. What cannot be recorded is logged: no work fails because of that."""
        ...


class NoHistory:
    """Implements `History` where none is kept."""

    def add(self, *happened: Happened) -> None: ...


NO_HISTORY: Final = NoHistory()


async def record(history: History, *happened: Happened) -> None:
    """Add it in a thread."""
    if happened:
        await asyncio.to_thread(history.add, *happened)
