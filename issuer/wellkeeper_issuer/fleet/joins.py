"""Let nodes join that were invited: check their requests, enrol them, and answer. docs/design/0025-joining.md

    invited → asked → enrolled → answered;  refused: the request is deleted, and the invite stays open

An invite is for one node, or for some that name themselves. Each has one pair of keys, and may ask again, since answers
get lost.
"""

import asyncio
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from wellkeeper_client import joining, records, services
from wellkeeper_client.joining import JoinAnswer, JoinRefusal, JoinRequest
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, Record
from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.fleet.ports import Feeding
from wellkeeper_issuer.ports.fleet import EnrolledNode, FleetRecords, OpenInvite, rights_of
from wellkeeper_issuer.ports.people import Notifications
from wellkeeper_issuer.records import Notice
from wellkeeper_node.complaints import Complaints
from wellkeeper_node.errors import FleetError, WellkeeperError
from wellkeeper_node.happened import NO_HISTORY, Happened, History, What, record
from wellkeeper_node.model import LINEAGE_NAME
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import counted, format_time

_log = logging.getLogger(__name__)

# A node waits for two minutes, and asks with another nonce then.
_ANSWER_SECONDS: Final = 600
_RECORD_SECONDS: Final = Kind.INVITE.lifetime_seconds
# As many as nodes wait with a few invites, unless the relay makes some up.
_MOST_ASKED: Final = 256
_AGAIN: Final = "Run 'wellkeeper node invite {}' for a new one."
_NEW_KEYS: Final = "Run 'wellkeeper-node leave' on it, which deletes its keys, then join again."
_OLD_RELAY: Final = "the relay runs an earlier version, which does not support reusable invites"
_RESTART: Final = services.sentence("restart", "wellkeeper-relay")
_USED: Final = "another node has used this invite"
_OTHER: Final = "Run 'wellkeeper node invites' on the issuer's host: it lists this invite and others."


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of an invite, which its node learns when it joins; the invite has the digest of the pins."""

    pins: joining.Pins
    relays: tuple[str, ...]
    certificates: Mapping[str, tuple[str, ...]]

    def to_text(self) -> str:
        certificates = {name: list(found) for name, found in self.certificates.items()}
        return json.dumps({"pins": self.pins.to_json(), "relays": list(self.relays), "certificates": certificates})


@dataclass(slots=True)
class Joins:
    """`take` hears requests, `run` answers them until cancelled, `offer` puts open invites into the relay."""

    records: FleetRecords
    notifications: Notifications
    clock: Clock
    history: History = NO_HISTORY
    _complaints: Complaints = field(init=False)
    _asked: dict[str, Stored] = field(default_factory=dict)
    _wakeup: asyncio.Event = field(default_factory=asyncio.Event)
    _answered: dict[str, asyncio.Event] = field(default_factory=dict)
    # With a slow webhook, nodes do not wait for the notices of others.
    _owed: asyncio.Queue[tuple[str, str, str]] = field(default_factory=asyncio.Queue)
    _offered: dict[str, Record] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._complaints = Complaints(_log, self.clock)

    def take(self, stored: Stored) -> None:
        """Note a request from the relay. The last one under its key counts."""
        if stored.key not in self._asked and len(self._asked) >= _MOST_ASKED:
            return
        self._asked[stored.key] = stored
        self._wakeup.set()

    async def offer(self, feed: Feeding) -> None:
        """Let the relay accept requests for the open invites, and for no others. Raises JournalError.

        The relay has each for an hour at most, so an invite for longer is put there again and again.
        """
        now = self.clock.now()
        invites = await self.records.read_invites()
        await self._forget_expired(invites, now)
        wanted = {_key(Kind.INVITE, one.id): one for one in invites.values() if one.is_open(now)}
        await feed.keep_only(wanted.keys(), Kind.INVITE)
        self._offered = {key: record for key, record in self._offered.items() if key in wanted}
        for key, one in wanted.items():
            if not feed.has(key) or _is_old(self._offered.get(key), one, now):
                self._offered[key] = _record(key, one, now)
                await feed.put(self._offered[key])

    async def _forget_expired(self, invites: Mapping[str, OpenInvite], now: datetime) -> None:
        ended = [one for one in invites.values() if one.expires_at <= now and not one.is_used_up and not one.revoked_at]
        await self.records.forget_expired(now)
        await record(self.history, *(Happened(What.INVITE_EXPIRED, one.node or one.id) for one in ended))

    async def until_answered(self, invite: str) -> None:
        """Wait until the invite with this id was used, the answer is in the relay, and the notice was sent."""
        await self._answered.setdefault(invite, asyncio.Event()).wait()

    async def run(self, feed: Feeding) -> None:
        """Answer requests as they come. What fails is logged; the node asks again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._notify())
            while True:
                await self._wakeup.wait()
                self._wakeup.clear()
                while self._asked:
                    stored = self._asked.pop(next(iter(self._asked)))
                    try:
                        await self._answer(stored, feed)
                    except WellkeeperError as error:
                        _log.error("a node could not join: %s", error)

    async def _answer(self, stored: Stored, feed: Feeding) -> None:
        exchange, now = records.node_of(stored.key), self.clock.now()
        invite = (await self.records.read_invites()).get(joining.invite_of(exchange))
        try:
            request, known = _proven(stored, invite, now)
        except FleetError as error:
            self._complaints.say(str(error))
            await feed.delete([stored.key])
            return
        key = _key(Kind.ANSWER, exchange)
        try:
            detail = await self._enrol(request, known)
        except FleetError as error:
            self._complaints.say(str(error))
            if known.is_reusable:
                await feed.put(_answer_record(key, now, JoinRefusal(request.nonce, error.why, error.remedy).to_json()))
            else:
                await feed.delete([stored.key])
            return
        await feed.put(_answer_record(key, now, _answer_to(request, known).to_json()))
        await self._owed.put((request.node, known.id, detail))

    async def _enrol(self, request: JoinRequest, invite: OpenInvite) -> str:
        """Enrol the node, and return what it gets; "" for one that asks again. Raises FleetError."""
        nodes = await self.records.read_nodes()
        if _has_used(invite, nodes.get(request.node), request):
            return ""
        _check_may_join(request, invite, nodes)
        keys = (request.signing_key, request.sealing_key)
        node = EnrolledNode(
            request.node, *keys, invite.lineages, invite.answers, self.clock.now(), invite.is_ephemeral, invite.id
        )
        await self.records.enrol(node, invite.id)
        if (await self.records.read_nodes()).get(node.name) != node:
            why = "it was removed, or its invite ended, at the same moment"
            raise FleetError(f"node {node.name!r} could not join", why, _again(invite))
        gets = "all certificates" if "*" in node.lineages else f"the certificates {', '.join(node.lineages)}"
        detail = f"it gets {gets}, and {'answers' if node.answers else 'does not answer'} challenges"
        if invite.is_reusable:
            detail += f"; it has used invite {invite.id}, {len(invite.used_by) + 1} of {invite.uses}"
        _log.info("node %r has joined: %s", node.name, detail)
        details = {**rights_of(node), "key": node.signing_key, "invited": format_time(invite.created_at)}
        if invite.is_reusable:
            details["invite"] = invite.id
        await record(self.history, Happened(What.NODE_JOINED, node.name, details))
        return detail

    async def _notify(self) -> None:
        """Send the notices that are owed, one after the other."""
        while True:
            node, invite, detail = await self._owed.get()
            try:
                if detail:
                    await self.notifications.send(Notice.JOINED, node, detail)
            except HookError as error:
                _log.error("%s", error)
            self._answered.setdefault(invite, asyncio.Event()).set()


def _proven(stored: Stored, invite: OpenInvite | None, now: datetime) -> tuple[JoinRequest, OpenInvite]:
    """Return the request and its invite. Raises FleetError for one that is late, or that someone else made."""
    if invite is None or now >= invite.expires_at:
        raise FleetError("a node could not join", "its invite is unknown or has expired", _AGAIN.format("NAME"))
    what = f"node {invite.node!r} could not join" if invite.node else f"a node could not join with invite {invite.id}"
    try:
        request = joining.parse_request(stored.value)
        joining.check_sealing_key(request.sealing_key)
    except ValueError as error:
        raise FleetError(what, f"its request is not valid: {error}") from error
    if not request.is_from(invite.secret):
        raise FleetError(what, "the request was made without the invite, or changed in transit", _again(invite))
    if invite.is_reusable and records.node_of(stored.key) != joining.exchange_of(invite.id, request.signing_key):
        raise FleetError(f"node {request.node!r} could not join", _OLD_RELAY, _RESTART)
    return request, invite


def _has_used(invite: OpenInvite, node: EnrolledNode | None, request: JoinRequest) -> bool:
    """Return whether this node has joined with this invite: it may ask again, and uses it once."""
    if node is None or node.invite != invite.id or invite.revoked_at is not None:
        return False
    return node.has_keys(request.signing_key, request.sealing_key)


def _check_may_join(request: JoinRequest, invite: OpenInvite, nodes: Mapping[str, EnrolledNode]) -> None:
    """Raise FleetError for a node that may not use the invite, or that has the name or a key of another one."""
    what, again = f"node {request.node!r} could not join", _again(invite)
    if invite.node and request.node != invite.node:
        raise FleetError(f"node {invite.node!r} could not join", f"the request is for node {request.node!r}", again)
    if LINEAGE_NAME.fullmatch(request.node) is None:
        raise FleetError(what, "a name has only a-z, 0-9, '.', '_' and '-'", "Choose another one with --name.")
    if invite.revoked_at is not None:
        raise FleetError(what, f"its invite was revoked at {format_time(invite.revoked_at)}", again)
    if invite.is_reusable and request.signing_key in invite.used_by:
        _check_keys(what, request, nodes)  # it may still be there under another name
        # Who reads the network could repeat its former request.
        raise FleetError(what, "it has joined with this invite before, and was removed", _NEW_KEYS)
    if invite.is_used_up:
        used = f"all {counted(invite.uses, 'use')} of its invite are used" if invite.is_reusable else _USED
        raise FleetError(what, used, again)
    _check_keys(what, request, nodes)
    if invite.is_reusable and request.node in nodes:
        remove = f"Run 'wellkeeper node remove {request.node}' on the issuer's host first."
        raise FleetError(what, "it has joined already, without this invite", remove)


def _check_keys(what: str, request: JoinRequest, nodes: Mapping[str, EnrolledNode]) -> None:
    """Raise FleetError if another node has the name or one of the keys."""
    keys = {request.signing_key, request.sealing_key}
    for name, node in nodes.items():
        known = {node.signing_key, node.sealing_key}
        if name == request.node and known != keys:
            raise FleetError(what, "a node with this name has joined", f"Run 'wellkeeper node remove {name}' first.")
        if name != request.node and known & keys:
            raise FleetError(
                what,
                f"its keys are those of node {name!r}",
                "Run 'wellkeeper-node leave' on the new node, then join again: each node needs its own keys.",
            )


def _again(invite: OpenInvite) -> str:
    return _AGAIN.format(invite.node) if invite.node else _OTHER


def _answer_to(request: JoinRequest, invite: OpenInvite) -> JoinAnswer:
    terms = json.loads(invite.terms)
    gets = {name: found for name, found in terms["certificates"].items() if {"*", name} & set(invite.lineages)}
    return JoinAnswer(
        request.node,
        request.signing_key,
        request.sealing_key,
        request.nonce,
        joining.parse_pins(terms["pins"]),
        tuple(terms["relays"]),
        invite.answers,
        gets,
    )


def _answer_record(key: str, now: datetime, body: Mapping[str, Any]) -> Record:
    at = int(now.timestamp())
    return Record(key, at, at, at + _ANSWER_SECONDS, body)


def _record(key: str, invite: OpenInvite, now: datetime) -> Record:
    at = int(now.timestamp())
    expires_at = min(at + _RECORD_SECONDS, math.ceil(invite.expires_at.timestamp()))
    return Record(key, at, at, expires_at, {joining.REUSABLE: True} if invite.is_reusable else {})


def _is_old(record: Record | None, invite: OpenInvite, now: datetime) -> bool:
    """Return whether the record ends soon, and before the invite."""
    ends_at = min(now.timestamp() + _RECORD_SECONDS / 2, invite.expires_at.timestamp())
    return record is None or record.expires_at < ends_at


def _key(kind: Kind, name: str) -> str:
    return f"{kind}/{name}"
