"""Answer issuers on separate listeners: publish, withdraw, fetches, status, health, metrics.

Requests are matched by the raw path. Messages are signed; over TCP, reads need a signed permit, too. Errors are
RFC 9457 problem documents that name the mistake and what was expected.
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import PayloadEncodingError
from prometheus_client import CONTENT_TYPE_LATEST

from wellkeeper_client import wire
from wellkeeper_client.wire import WireError
from wellkeeper_responder.clock import Clock
from wellkeeper_responder.connections import note_signature
from wellkeeper_responder.fetches import Fetches
from wellkeeper_responder.holds import Holds
from wellkeeper_responder.metrics import Metrics
from wellkeeper_responder.publishing_keys import PublishingKeys
from wellkeeper_responder.tokens import Tokens

_log = logging.getLogger(__name__)

BODY_SECONDS: Final = 5.0
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Server": "wellkeeper-responder",
}
_NUMBER: Final = re.compile("[0-9]{1,15}")
_Action = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a responder that the control listeners give access to."""

    clock: Clock
    keys: PublishingKeys
    tokens: Tokens
    fetches: Fetches
    metrics: Metrics
    holds: Holds
    instance_id: str
    # What the responder trusts, and the members of /v1/status that do not change.
    trusted: Callable[[], dict[str, list[Any]]]
    facts: dict[str, Any]


class Control:
    """Answer requests on the control listeners."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._open_reads: dict[str, _Action] = {wire.HEALTH_PATH: self._health, wire.METRICS_PATH: self._metrics}
        self._reads: dict[str, _Action] = {wire.STATUS_PATH: self._status, wire.FETCHES_PATH: self._fetches}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request on a unix socket, whose mode determines who may read."""
        return await self._answer(request, needs_permit=False)

    async def handle_over_tcp(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._answer(request, needs_permit=True)

    async def _answer(self, request: web.BaseRequest, *, needs_permit: bool) -> web.StreamResponse:
        try:
            return await self._action(request, needs_permit=needs_permit)(request)
        except WireError as error:
            return self._problem(error)

    def _action(self, request: web.BaseRequest, *, needs_permit: bool) -> _Action:
        path = request.raw_path.partition("?")[0]
        if _token(request.raw_path) is not None:
            if needs_permit and request.method == "GET":
                self._check_permit(request, is_for_token=True)
            return _allowed(request, {"PUT": self._publish, "DELETE": self._withdraw, "GET": self._show})
        action = self._open_reads.get(path) or self._reads.get(path)
        if action is None:
            raise WireError(
                404, "not-found", f"expected {wire.TOKENS_PREFIX}TOKEN, {wire.FETCHES_PATH} or {wire.STATUS_PATH}"
            )
        action = _allowed(request, {"GET": action})
        if needs_permit and path in self._reads:
            self._check_permit(request)
        return action

    def _check_permit(self, request: web.BaseRequest, *, is_for_token: bool = False) -> None:
        scheme, _, message = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise WireError(
                401,
                "permit-required",
                f"over TCP this needs 'Authorization: Bearer' with a signed {wire.READ_TYPE}",
            )
        permit = message.strip().encode("utf-8", "surrogateescape")
        self._parts.keys.check_permit(permit, self._now(), is_for_token=is_for_token)
        note_signature(request)

    async def _publish(self, request: web.BaseRequest) -> web.StreamResponse:
        parts, publisher = self._parts, ""
        try:
            message = await _message(request)
            publication = parts.keys.check_publication(message, self._now())
            publisher = parts.keys.publisher_of(message)
            note_signature(request)
            _check_path(request, publication.token)
            published = parts.tokens.publish(publication, publisher)
            parts.holds.end(publication.token)
        except WireError as error:
            parts.metrics.count_publication(error.name, publisher)
            raise
        parts.metrics.count_publication("created" if published.is_new else "unchanged", publisher)
        fields = {"token": publication.token, "identifier": publication.identifier, "jti": publication.jti}
        _log.info("publish", extra={"fields": fields | {"is_new": published.is_new} | _named(publisher)})
        reply: dict[str, Any] = {
            "instance_id": parts.instance_id,
            "expires_in_seconds": round(published.expires_in_seconds, 3),
            "clock": self._now(),
        }
        ahead = publication.issued_at - self._now()
        if abs(ahead) > wire.CLOCK_WARNING_SECONDS:
            reply["warning"] = _clock_warning(ahead)
        return _json(201 if published.is_new else 200, reply)

    async def _withdraw(self, request: web.BaseRequest) -> web.StreamResponse:
        parts = self._parts
        try:
            message = await _message(request)
            withdrawal = parts.keys.check_withdrawal(message, self._now())
            publisher = parts.keys.publisher_of(message)
            note_signature(request)
            _check_path(request, withdrawal.token)
            was_active = parts.tokens.withdraw(withdrawal, publisher)
        except WireError as error:
            parts.metrics.withdrawals[error.name] += 1
            raise
        parts.metrics.withdrawals["ended" if was_active else "unknown"] += 1
        fields = {"token": withdrawal.token, "jti": withdrawal.publication_jti, "was_active": was_active}
        _log.info("withdraw", extra={"fields": fields | _named(publisher)})
        return web.Response(status=204, headers=_HEADERS)

    async def _show(self, request: web.BaseRequest) -> web.StreamResponse:
        publication = self._parts.tokens.find(_token(request.raw_path) or "")
        if publication is None:
            raise WireError(404, "not-found", "this token is not published")
        found = {
            "instance_id": self._parts.instance_id,
            "jti": publication.jti,
            "thumbprint": publication.thumbprint,
            "identifier": publication.identifier,
        }
        return _json(200, found)

    async def _fetches(self, request: web.BaseRequest) -> web.StreamResponse:
        query = _query(request)
        after, wait = query.get("after", 0), query.get("wait", 0)
        await self._parts.fetches.wait(after, wait)
        delivery = self._parts.fetches.read(after)
        gap = {"lost": delivery.lost, "may_include_hits": delivery.lost_hits} if delivery.lost else None
        reply = {
            "instance_id": self._parts.instance_id,
            "next": delivery.next,
            "gap": gap,
            "fetches": [fetch.to_json() for fetch in delivery.fetches],
        }
        return _json(200, reply)

    async def _status(self, _request: web.BaseRequest) -> web.StreamResponse:
        parts = self._parts
        counts = {
            "tokens": len(parts.tokens),
            "publications_remembered": parts.tokens.known_count,
            "newest_fetch": parts.fetches.newest,
            "waiting_polls": parts.fetches.waiting_count,
            "held_requests": parts.holds.count,
        }
        own = {"instance_id": parts.instance_id, **parts.facts, **parts.trusted()}
        return _json(200, {**own, "counts": counts, "clock": self._now()})

    async def _health(self, _request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="ok\n", headers=_HEADERS)

    async def _metrics(self, _request: web.BaseRequest) -> web.StreamResponse:
        headers = {**_HEADERS, "Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=self._parts.metrics.exposition(), headers=headers)

    def _now(self) -> float:
        return round(self._parts.clock.now().timestamp(), 3)

    def _problem(self, error: WireError) -> web.Response:
        headers = dict(error.headers)
        document: dict[str, Any] = {
            "type": wire.PROBLEM_PREFIX + error.name,
            "title": error.name.replace("-", " "),
            "status": error.status,
            "detail": error.detail,
        }
        if error.status == 401:
            document["clock"] = self._now()
            # RFC 9110 section 15.5.2 demands a challenge with every 401.
            headers["WWW-Authenticate"] = f'Bearer realm="{wire.AUDIENCE}"'
        response = _json(error.status, document, wire.PROBLEM_MEDIA_TYPE, headers)
        if error.status in {408, 413}:
            # Do not wait for the rest of the body.
            response.force_close()
        return response


def _allowed(request: web.BaseRequest, actions: dict[str, _Action]) -> _Action:
    action = actions.get(request.method)
    if action is None:
        allow = ", ".join(actions)
        raise WireError(405, "method-not-allowed", f"expected {allow}", {"Allow": allow})
    return action


def _named(publisher: str) -> dict[str, str]:
    """Return the field that names a publisher in the log; none for the issuer."""
    return {"publisher": publisher} if publisher else {}


def _token(raw_path: str) -> str | None:
    token = raw_path.removeprefix(wire.TOKENS_PREFIX)
    return token if token != raw_path and wire.is_token(token) else None


def _check_path(request: web.BaseRequest, token: str) -> None:
    if _token(request.raw_path) != token:
        raise WireError(400, "malformed", "claim 'token' differs from the token in the path")


async def _message(request: web.BaseRequest) -> bytes:
    if request.headers.get("Content-Type") != wire.MESSAGE_MEDIA_TYPE:
        raise WireError(415, "media-type", f"'Content-Type' must be {wire.MESSAGE_MEDIA_TYPE}")
    message = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while len(message) <= wire.MAX_MESSAGE_BYTES and (part := await request.content.readany()):
                message += part
    except TimeoutError as error:
        raise WireError(408, "too-slow", f"the body did not arrive within {BODY_SECONDS:.0f} s") from error
    except (web.RequestPayloadError, PayloadEncodingError) as error:
        raise WireError(400, "malformed", "the body was cut short") from error
    return bytes(message)


def _query(request: web.BaseRequest) -> dict[str, int]:
    query = request.raw_path.partition("?")[2]
    pairs = [part.partition("=") for part in query.split("&")] if query else []
    numbers = {name: int(value) for name, _, value in pairs if _NUMBER.fullmatch(value)}
    if len(pairs) != len(numbers) or numbers.keys() - {"after", "wait"}:
        raise WireError(400, "malformed", "the query may have 'after' and 'wait', each once, as whole numbers")
    if numbers.get("wait", 0) > wire.MAX_WAIT_SECONDS:
        raise WireError(400, "malformed", f"'wait' must be at most {wire.MAX_WAIT_SECONDS} seconds")
    return numbers


def _clock_warning(ahead_seconds: float) -> str:
    direction = "ahead of" if ahead_seconds > 0 else "behind"
    return (
        f"'iat' is {abs(ahead_seconds):.0f} s {direction} the responder's clock; synchronize both clocks by NTP: a"
        f" difference of more than {wire.MAX_CLOCK_SKEW_SECONDS} s is refused"
    )


def _json(
    status: int, document: dict[str, Any], media_type: str = "application/json", headers: dict[str, str] | None = None
) -> web.Response:
    body = json.dumps(document).encode()
    return web.Response(status=status, body=body, headers={**_HEADERS, "Content-Type": media_type, **(headers or {})})
