"""Answer the CA: GET and HEAD of a published token (RFC 8555 section 8.3), and 404 for everything else.

Requests are matched by the raw path, byte for byte, without routing, normalization or a query.
"""

from typing import Final

from aiohttp import hdrs, web

from wellkeeper_client import wire
from wellkeeper_responder.fetch_log import FetchLog
from wellkeeper_responder.fetches import Fetches
from wellkeeper_responder.holds import Holds
from wellkeeper_responder.metrics import Metrics
from wellkeeper_responder.tokens import Tokens

# nosniff: browsers must not show the body as a page; no-store: a cached 404 would fail the next validation.
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    hdrs.CACHE_CONTROL: "no-store",
    hdrs.SERVER: "wellkeeper-responder",
}
_ANSWER_HEADERS: Final = {**_HEADERS, hdrs.CONTENT_TYPE: "application/octet-stream"}
_MAX_ADDRESS: Final = 64
_MAX_USER_AGENT: Final = 200
_MAX_HOST: Final = 255


class Public:
    """Answer requests on the public listeners."""

    def __init__(self, tokens: Tokens, fetches: Fetches, metrics: Metrics, log: FetchLog, holds: Holds) -> None:
        self._tokens = tokens
        self._holds = holds
        self._fetches = fetches
        self._metrics = metrics
        self._log = log

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        token = _token(request.raw_path)
        if token is None:
            self._metrics.fetches["other", "404"] += 1
            return _refusal(404, "there is nothing here\n")
        if request.method not in {"GET", "HEAD"}:
            self._metrics.fetches["other", "405"] += 1
            return _refusal(405, "only GET and HEAD\n", {"Allow": "GET, HEAD"})
        hosts = request.headers.getall(hdrs.HOST, [])
        host = hosts[0] if len(hosts) == 1 else None
        key_authorization = self._tokens.answer(token, host)
        if key_authorization is None and wire.READ_BACK_HEADER not in request.headers:
            await self._holds.wait(token)
            key_authorization = self._tokens.answer(token, host)
        self._record(request, token, 404 if key_authorization is None else 200)
        if key_authorization is None:
            return _refusal(404, wire.NO_SUCH_TOKEN)
        return web.Response(body=key_authorization.encode("ascii"), headers=_ANSWER_HEADERS)

    def _record(self, request: web.BaseRequest, token: str, status: int) -> None:
        headers = request.headers
        is_read_back = wire.READ_BACK_HEADER in headers
        fetch = self._fetches.record(
            token,
            status,
            client_address=_bounded(headers.get("X-Real-IP"), _MAX_ADDRESS),
            user_agent=_bounded(headers.get(hdrs.USER_AGENT), _MAX_USER_AGENT),
            host=_bounded(headers.get(hdrs.HOST), _MAX_HOST),
            is_read_back=is_read_back,
        )
        # Only we and the CA know a published token. Most requests for others are of strangers, but a CA's looks the
        # same if its token is missing here.
        kind = "read_back" if is_read_back else "ca" if status == 200 else "stranger"
        self._metrics.fetches[kind, str(status)] += 1
        self._log.write(status, fetch)


def _token(raw_path: str) -> str | None:
    token = raw_path.removeprefix(wire.CHALLENGE_PREFIX)
    return token if token != raw_path and wire.is_token(token) else None


def _refusal(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=text, headers={**_HEADERS, **(headers or {})})


def _bounded(text: str | None, characters: int) -> str | None:
    """Return the text, cut to this length, with a replacement for each unprintable character."""
    if text is None or (len(text) <= characters and text.isprintable()):
        return text
    text = text[:characters]
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
