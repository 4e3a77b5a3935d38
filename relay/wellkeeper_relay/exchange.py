"""Read requests and make replies: bounded bodies, strict queries, JSON, RFC 9457 problems."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web

from wellkeeper_client import relay_wire, wire
from wellkeeper_client.record_state import Page, Stored
from wellkeeper_client.wire import WireError

PROGRAM: Final = "wellkeeper-relay"
BODY_SECONDS: Final = 5.0
HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Server": PROGRAM}

_ID: Final = "[A-Za-z0-9_-]{1,64}"
_NUMBER: Final = "[0-9]{1,15}"
_QUERY: Final = {
    "kinds": re.compile("[a-z,]{1,100}"),
    "instance": re.compile(_ID),
    "after": re.compile(_NUMBER),
    "wait": re.compile(_NUMBER),
    "expected": re.compile(_ID),
    "lease": re.compile(_ID),
    "expires_at": re.compile(rf"{_NUMBER}(?:\.[0-9]{{1,9}})?"),
    "holder": re.compile("[A-Za-z0-9._-]{1,128}"),
    "seconds": re.compile(_NUMBER),
}


def query(request: web.BaseRequest, *names: str) -> dict[str, str]:
    """Return the values in the query, which may have these names, each once. Raises WireError."""
    text = request.raw_path.partition("?")[2]
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=len(names))
    except ValueError:
        pairs = [("", "")]
    found = dict(pairs)
    if len(found) != len(pairs) or not all(name in names and _QUERY[name].fullmatch(found[name]) for name in found):
        raise WireError(400, "malformed", f"the query may have {', '.join(names) or 'nothing'}, each once and valid")
    return found


def number(found: Mapping[str, str], name: str, most: int) -> int:
    """Return a whole number of the query, 0 if it is not there. Raises WireError."""
    value = int(found.get(name, "0"))
    if value > most:
        raise WireError(400, "malformed", f"{name!r} must be at most {most}")
    return value


def required(found: Mapping[str, str], name: str) -> str:
    """Raises WireError."""
    if name not in found:
        raise WireError(400, "malformed", f"{name!r} is missing in the query")
    return found[name]


async def message(request: web.BaseRequest, longest: int, media_type: str = wire.MESSAGE_MEDIA_TYPE) -> bytes:
    """Return the body, a message of at most these bytes. Raises WireError."""
    if request.headers.get("Content-Type") != media_type:
        raise WireError(415, "media-type", f"'Content-Type' must be {media_type}")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while len(body) <= longest and (part := await request.content.readany()):
                body += part
    except TimeoutError as error:
        raise WireError(408, "too-slow", f"the body did not arrive within {BODY_SECONDS:.0f} s") from error
    if len(body) > longest:
        raise WireError(413, "too-large", f"the message may have at most {longest} bytes")
    return bytes(body)


def page(instance_id: str, found: Page, *, takes_report: bool) -> web.Response:
    document = {
        "instance": instance_id,
        "next": found.next,
        "is_snapshot": found.is_snapshot,
        "is_whole": found.is_whole,
        "records": [_record(one) for one in found.records],
        "removed": found.removed,
        "takes_report": takes_report,
    }
    return reply(200, document)


def record(found: Stored | None) -> web.Response:
    return reply(200, {"record": _record(found) if found else None})


def problem(error: WireError, now: float) -> web.Response:
    """Return the answer to a refused request; strangers and broken bodies lose their connection."""
    headers = dict(error.headers)
    document: dict[str, Any] = {
        "type": wire.PROBLEM_PREFIX + error.name,
        "title": error.name.replace("-", " "),
        "status": error.status,
        "detail": error.detail,
    }
    if error.status == 401:
        document["clock"] = round(now, 3)
        # RFC 9110 section 15.5.2 demands a challenge with every 401.
        headers["WWW-Authenticate"] = f'Bearer realm="{relay_wire.AUDIENCE}"'
    response = reply(error.status, document, wire.PROBLEM_MEDIA_TYPE, headers)
    if error.status in {401, 408, 413}:
        # Do not wait for the rest of the body.
        response.force_close()
    return response


def reply(
    status: int,
    document: Mapping[str, Any],
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    body = json.dumps(document).encode()
    return web.Response(status=status, body=body, headers={**HEADERS, "Content-Type": media_type, **(headers or {})})


def _record(stored: Stored) -> dict[str, Any]:
    return {"key": stored.key, "value": stored.value.decode("ascii"), "expires_at": stored.expires_at}
