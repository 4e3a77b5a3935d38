"""Let nodes join that were invited: check their requests, enrol them, and answer. docs/design/0025-joining.md

    invited → asked → enrolled → answered;  refused: the request is deleted, and the invite stays open

An invite is for one node with one pair of keys. The same node may ask again within the hour, since answers get lost.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from wellkeeper_client import joining, records
from wellkeeper_client.joining import JoinAnswer, JoinRequest
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, Record
from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.fleet.feed import Feed
from wellkeeper_issuer.ports.fleet import EnrolledNode, FleetRecords, OpenInvite
from wellkeeper_issuer.ports.people import Notifications
from wellkeeper_issuer.records import Notice
from wellkeeper_node.complaints import Complaints
from wellkeeper_node.errors import FleetError, WellkeeperError
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

_ANSWER_SECONDS: Final = 3600
# There are as many as open invites, unless the relay makes some up.
_MOST_ASKED: Final = 64
_AGAIN: Final = "Run 'wellkeeper node invite {}' for a new one."


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
    _complaints: Complaints = field(init=False)
    _asked: dict[str, Stored] = field(default_factory=dict)
    _wakeup: asyncio.Event = field(default_factory=asyncio.Event)
    _answered: dict[str, asyncio.Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._complaints = Complaints(_log, self.clock)

    def take(self, stored: Stored) -> None:
        """Note a request from the relay. The last one counts: the relay has one per invite."""
        if stored.key not in self._asked and len(self._asked) >= _MOST_ASKED:
            return
        self._asked[stored.key] = stored
        self._wakeup.set()

    async def offer(self, feed: Feed) -> None:
        """Let the relay accept requests for the open invites, and for no others. Raises JournalError."""
        now = self.clock.now()
        await self.records.forget_expired(now)
        invites = await self.records.read_invites()
        wanted = {_key(Kind.INVITE, one.id): one for one in invites.values() if now < one.expires_at}
        await feed.keep_only(wanted.keys(), Kind.INVITE)
        for key, one in wanted.items():
            if not feed.has(key):
                await feed.put(_record(key, one))

    async def until_answered(self, invite: str) -> None:
        """Wait until the invite with this id was used, and the answer is in the relay."""
        await self._answered.setdefault(invite, asyncio.Event()).wait()

    async def run(self, feed: Feed) -> None:
        """Answer requests as they come. What fails is logged; the node asks again."""
        while True:
            await self._wakeup.wait()
            self._wakeup.clear()
            while self._asked:
                _, stored = self._asked.popitem()
                try:
                    await self._answer(stored, feed)
                except WellkeeperError as error:
                    _log.error("a node could not join: %s", error)

    async def _answer(self, stored: Stored, feed: Feed) -> None:
        invite = (await self.records.read_invites()).get(records.node_of(stored.key))
        try:
            request, known = _checked(stored.value, invite, await self.records.read_nodes(), self.clock.now())
            if not known.is_used:
                await self._enrol(request, known)
        except FleetError as error:
            self._complaints.say(str(error))
            await feed.delete([stored.key])
            return
        now = int(self.clock.now().timestamp())
        body = _answer_to(request, known).to_json()
        await feed.put(Record(_key(Kind.ANSWER, known.id), now, now, now + _ANSWER_SECONDS, body))
        self._answered.setdefault(known.id, asyncio.Event()).set()

    async def _enrol(self, request: JoinRequest, invite: OpenInvite) -> None:
        keys = (request.signing_key, request.sealing_key)
        node = EnrolledNode(invite.node, *keys, invite.lineages, invite.answers, self.clock.now())
        await self.records.enrol(node, invite.id)
        if node.name not in await self.records.read_nodes():
            what, again = f"node {node.name!r} could not join", _AGAIN.format(node.name)
            raise FleetError(what, "it was removed at the same moment", again)
        gets = "all certificates" if "*" in node.lineages else f"the certificates {', '.join(node.lineages)}"
        detail = f"it gets {gets}, and {'answers' if node.answers else 'does not answer'} challenges"
        _log.info("node %r has joined: %s", node.name, detail)
        try:
            await self.notifications.send(Notice.JOINED, node.name, detail)
        except HookError as error:
            _log.error("%s", error)


def _checked(
    message: bytes, invite: OpenInvite | None, nodes: Mapping[str, EnrolledNode], now: datetime
) -> tuple[JoinRequest, OpenInvite]:
    """Return the request and its invite. Raises FleetError for one that is forged, late, or for another node."""
    if invite is None or now >= invite.expires_at:
        raise FleetError("a node could not join", "its invite is unknown or has expired", _AGAIN.format("NAME"))
    what, again = f"node {invite.node!r} could not join", _AGAIN.format(invite.node)
    try:
        request = joining.parse_request(message)
        joining.check_sealing_key(request.sealing_key)
    except ValueError as error:
        raise FleetError(what, f"its request is not valid: {error}") from error
    if not request.is_from(invite.secret):
        raise FleetError(what, "the request was made without the invite, or changed on its way", again)
    if request.node != invite.node:
        raise FleetError(what, f"the request is for node {request.node!r}", again)
    if invite.is_used and not invite.is_used_by(request.signing_key, request.sealing_key):
        raise FleetError(what, "another node has used this invite", again)
    _check_keys(what, request, nodes)
    return request, invite


def _check_keys(what: str, request: JoinRequest, nodes: Mapping[str, EnrolledNode]) -> None:
    """Raise FleetError if another node has the name or one of the keys."""
    keys = {request.signing_key, request.sealing_key}
    for name, node in nodes.items():
        known = {node.signing_key, node.sealing_key}
        if name == request.node and known != keys:
            raise FleetError(what, "a node of this name has joined", f"Run 'wellkeeper node remove {name}' first.")
        if name != request.node and known & keys:
            raise FleetError(what, f"its keys are those of node {name!r}", "Delete them there: each node has its own.")


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


def _record(key: str, invite: OpenInvite) -> Record:
    created_at = int(invite.created_at.timestamp())
    return Record(key, created_at, created_at, int(invite.expires_at.timestamp()))


def _key(kind: Kind, invite: str) -> str:
    return f"{kind}/{invite}"
