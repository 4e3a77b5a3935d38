"""Publish tokens to this node's responder, read them back through its nginx, and count the CA's fetches.

    record ──▶ put ──▶ read back ──▶ reported ──▶ withdrawn or expired
                ▲──────── failed, or the responder restarted

The responder checks each publication itself; a record only brings it here.
"""

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from wellkeeper_client import wire
from wellkeeper_client.compact_jws import MessageError, malformed
from wellkeeper_client.fleet_bodies import PublicationBody, parse_publication
from wellkeeper_client.records import Record
from wellkeeper_node.agent.report import FetchReport, PublicationReport
from wellkeeper_node.agent.waiting import is_set_within, pauses
from wellkeeper_node.errors import PublishError
from wellkeeper_node.model import Answer, Identifier, IdentifierType, Node
from wellkeeper_node.ports import Clock, Probes
from wellkeeper_node.responders.connection import Connection
from wellkeeper_node.responders.fetch_watch import FetchWatch, Watches

_log = logging.getLogger(__name__)

# The issuer waits for twelve seconds; a person who repairs nginx sees it soon.
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 15.0
# A responder that restarts between put and read-back is back after this time; a failure is reported after two tries.
_SECOND_TRY_SECONDS: Final = 0.3
# Fetches come in bursts, from several places.
_QUIET_SECONDS: Final = 0.05
# Longer than any publication lives.
_FOREVER_SECONDS: Final = 2 * 3600.0


@dataclass(slots=True)
class _Held:
    """A publication; `report` is None until it was tried, `instance_id` that of the responder which has it."""

    body: PublicationBody
    answer: Answer
    expires_at: int
    watch: FetchWatch
    instance_id: str = ""
    report: PublicationReport | None = None
    lost: asyncio.Event = field(default_factory=asyncio.Event)


class Tokens:
    """The publications of the relays at the responder of this `node`; `notify` is called when a report changes."""

    def __init__(
        self, responder: Connection, node: Node, probes: Probes, clock: Clock, notify: Callable[[], None]
    ) -> None:
        self._responder = responder
        self._node = node
        self._probes = probes
        self._clock = clock
        self._notify = notify
        self._held: dict[str, _Held] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.watches = Watches()

    async def close(self) -> None:
        """End all work; the responder keeps the tokens until they expire."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def publications(self) -> Mapping[str, PublicationReport]:
        return {jti: one.report for jti, one in self._held.items() if one.report is not None}

    @property
    def fetches(self) -> Mapping[str, FetchReport]:
        watches = {one.answer.token: one.watch for one in self._held.values()}
        return {token: FetchReport(one.count, tuple(one.clients)) for token, one in watches.items() if one.count}

    def take(self, record: Record) -> None:
        """Publish or withdraw what the record says, in the background. Raises MessageError."""
        jti, body = record.key.partition("/")[2], parse_publication(record.body)
        claims = _claims(body.message)
        if body.is_withdrawal:
            self._start(jti, self._withdraw(_text(claims, "token"), body.message))
        elif claims.get("jti") != jti:
            raise malformed("its publication has another 'jti'")
        else:
            self._start(jti, self._publish(jti, body, _answer(claims), record.expires_at))

    def check_instance(self, instance_id: str) -> None:
        """Publish again what another process of the responder had, which therefore holds it no longer."""
        for one in self._held.values():
            if one.instance_id not in {"", instance_id}:
                one.report = None
                one.lost.set()

    def _start(self, jti: str, work: Coroutine[Any, Any, None]) -> None:
        former = self._tasks.get(jti)
        if former is not None:
            former.cancel()
        task = self._tasks[jti] = asyncio.create_task(work)
        task.add_done_callback(lambda done: self._ended(jti, done))

    def _ended(self, jti: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(jti) is task:
            del self._tasks[jti]
        if not task.cancelled() and (error := task.exception()):
            _log.error("unexpected error in the publication %s; please report it", jti, exc_info=error)

    async def _publish(self, jti: str, body: PublicationBody, answer: Answer, expires_at: int) -> None:
        """Keep the token at the responder until it expires or this is cancelled."""
        with ExitStack() as stack:
            held = _Held(body, answer, expires_at, stack.enter_context(self.watches.open(answer.token)))
            self._held[jti] = held
            following = asyncio.create_task(self._follow(held.watch))
            stack.callback(following.cancel)
            stack.callback(self._held.pop, jti, None)
            seconds = expires_at - self._clock.now().timestamp()
            try:
                async with asyncio.timeout(seconds):
                    await self._hold(held)
            except TimeoutError:
                self._notify()

    async def _hold(self, held: _Held) -> None:
        waits = pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
        while True:
            held.lost.clear()
            report = await self._try(held)
            if report != held.report:
                held.report = report
                self._notify()
            if _is_good(report):
                waits = pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)
                await held.lost.wait()
            else:
                await is_set_within(held.lost, next(waits))

    async def _try(self, held: _Held) -> PublicationReport:
        """Put the token and read it back; a failure counts once it was repeated."""
        report = await self._put_and_read(held)
        if report.is_held and not _is_good(report):
            await asyncio.sleep(_SECOND_TRY_SECONDS)
            report = await self._put_and_read(held)
        return report

    async def _put_and_read(self, held: _Held) -> PublicationReport:
        try:
            held.instance_id = await self._responder.put(held.answer.token, held.body.message)
        except PublishError as error:
            return PublicationReport(is_held=False, error=str(error))
        return PublicationReport(is_held=True, read_backs=await self._probes.read_back(self._node, held.answer))

    async def _withdraw(self, token: str, message: str) -> None:
        """Withdraw the token, which expires if the responder does not answer."""
        self._notify()
        try:
            await self._responder.delete(token, message)
        except PublishError as error:
            _log.warning("cannot withdraw a token, which will expire: %s", error)

    async def _follow(self, watch: FetchWatch) -> None:
        while True:
            self._report_fetches(are_there=await watch.settle(_QUIET_SECONDS, _FOREVER_SECONDS))

    def _report_fetches(self, *, are_there: bool) -> None:
        if are_there:
            self._notify()


def _is_good(report: PublicationReport) -> bool:
    return report.is_held and all(one.cause is None for one in report.read_backs)


def _claims(message: str) -> dict[str, Any]:
    """Return the claims of a publication or withdrawal, which the responder verifies. Raises MessageError."""
    try:
        part = message.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError, RecursionError) as error:
        raise malformed("its message is not a compact JWS") from error
    if not isinstance(found, dict):
        raise malformed("the claims of its message are not an object")
    return found


def _answer(claims: dict[str, Any]) -> Answer:
    value = _text(claims, "identifier")
    is_address = ":" in value or value.replace(".", "").isdecimal()
    kind = IdentifierType.IP if is_address else IdentifierType.DNS
    token = _text(claims, "token")
    if not wire.is_token(token):
        raise malformed("its token is malformed")
    return Answer(token, _text(claims, "thumbprint"), Identifier(kind, value))


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        raise MessageError("malformed", f"its message has no {name!r}")
    return value
