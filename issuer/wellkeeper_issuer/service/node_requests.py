"""Requests about nodes over the daemon's socket: the daemon owns the state, and its fleet acts on each change."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from wellkeeper_issuer.errors import DaemonError
from wellkeeper_issuer.outside.daemon.server import Handler, Tell
from wellkeeper_issuer.outside.daemon.socket import Message
from wellkeeper_issuer.ports.fleet import EnrolledNode, FleetRecords, OpenInvite
from wellkeeper_issuer.ports.state import Schedules
from wellkeeper_issuer.upkeep.planner import record_exposed
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

ADD: Final = "add node"
INVITE: Final = "invite node"
REMOVE: Final = "remove node"
REVOKE: Final = "revoke invite"


class NodeRequests:
    """`handlers` answer them."""

    def __init__(self, records: FleetRecords, schedules: Schedules, clock: Clock) -> None:
        self._records = records
        self._schedules = schedules
        self._clock = clock

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {ADD: self.add, INVITE: self.invite, REMOVE: self.remove, REVOKE: self.revoke}

    async def add(self, request: Message, _tell: Tell) -> Message:
        """Enrol the node."""
        node = decode_node(request.get("node"))
        await self._records.record_node(node)
        _log.info("node %r was added", node.name)
        return {}

    async def invite(self, request: Message, _tell: Tell) -> Message:
        """Record the invite."""
        await self._records.record_invite(decode_invite(request.get("invite")))
        return {}

    async def revoke(self, request: Message, _tell: Tell) -> Message:
        """Let no other node use the invite."""
        invite = str(request.get("invite"))
        await self._records.revoke_invite(invite, self._clock.now())
        _log.info("invite %s was revoked", invite)
        return {}

    async def remove(self, request: Message, _tell: Tell) -> Message:
        """Forget the node, if there is one; the certificates in `exposed` are due from now on.

        `invite`, if it is there, is revoked first: the node has it.
        """
        if "invite" in request:
            await self.revoke(request, _tell)
        exposed = request.get("exposed", [])
        await record_exposed(self._schedules, map(str, exposed), self._clock.now())
        await self._records.forget_node(str(request.get("name")))
        _log.info("node %r was removed", request.get("name"))
        return {}


def encode_node(node: EnrolledNode) -> dict[str, Any]:
    return asdict(node) | {"lineages": list(node.lineages), "enrolled_at": node.enrolled_at.isoformat()}


def decode_node(found: Any) -> EnrolledNode:  # noqa: ANN401 - JSON
    """Reverse `encode_node`. Raises DaemonError."""
    try:
        more = {"lineages": tuple(found["lineages"]), "enrolled_at": datetime.fromisoformat(found["enrolled_at"])}
        return EnrolledNode(**(found | more))
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable("node", error) from error


def encode_invite(invite: OpenInvite) -> dict[str, Any]:
    """Return a new invite, which was neither used nor revoked, as JSON."""
    times = {name: getattr(invite, name).isoformat() for name in ("created_at", "expires_at")}
    kept = {name: value for name, value in asdict(invite).items() if name != "used_by"}
    return kept | times | {"secret": invite.secret.hex(), "lineages": list(invite.lineages)}


def decode_invite(found: Any) -> OpenInvite:  # noqa: ANN401 - JSON
    """Reverse `encode_invite`. Raises DaemonError."""
    try:
        times = {name: datetime.fromisoformat(found[name]) for name in ("created_at", "expires_at")}
        more = {"secret": bytes.fromhex(found["secret"]), "lineages": tuple(found["lineages"])}
        return OpenInvite(**(found | times | more))
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable("invite", error) from error


def _unreadable(what: str, error: Exception) -> DaemonError:
    return DaemonError(f"cannot read the {what}", f"{error!r:.80}", "Use the same version as the daemon.")
