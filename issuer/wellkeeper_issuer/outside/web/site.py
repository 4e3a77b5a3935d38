"""Answer GET and HEAD of a few exact paths; nothing that a request contains changes anything.

A browser on this host may be led to a loopback address by any page, so Host must be one of ours (DNS rebinding). There
are no cookies or scripts, forms only ask for another page, and a reply may not be framed, cached or read by another
origin.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import hdrs, web

SERVER: Final = "wellkeeper"
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    hdrs.CACHE_CONTROL: "no-store",
    hdrs.SERVER: SERVER,
}
_TEXT: Final = "text/plain; charset=utf-8"
_MOST_FIELDS: Final = 16


@dataclass(frozen=True, slots=True)
class Page:
    """A reply."""

    text: str
    content_type: str = _TEXT
    status: int = 200


# The parameters of a request, each once.
Query = Mapping[str, str]
Make = Callable[[Query], Awaitable[Page]]


class Site:
    """Pages by path; `hosts` are the names that a request may ask for, without a port and in lower case."""

    def __init__(self, pages: Mapping[str, Make], hosts: Collection[str]) -> None:
        self._pages = pages
        self._hosts = frozenset(hosts)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer a request."""
        if _host(request.headers.get(hdrs.HOST, "")) not in self._hosts:
            return reply(Page("unknown host; name it in hosts under [web]\n", status=421))
        if request.method not in {hdrs.METH_GET, hdrs.METH_HEAD}:
            return reply(Page("only GET and HEAD\n", status=405), {hdrs.ALLOW: "GET, HEAD"})
        path, _, query = request.raw_path.partition("?")
        make = self._pages.get(path)
        return reply(await make(_parsed(query)) if make else Page("there is nothing here\n", status=404))


def _host(header: str) -> str:
    """Return the host without its port and the dot of an absolute name: `[::1]:80` and `[::1]` are `[::1]`."""
    host, colon, port = header.lower().rpartition(":")
    has_port = colon and (port.isdigit() or not port) and not host.endswith(":")
    return (host if has_port else header.lower()).removesuffix(".")


def _parsed(query: str) -> Query:
    """Return the parameters; none of a query with too many."""
    try:
        return dict(parse_qsl(query, max_num_fields=_MOST_FIELDS))
    except ValueError:
        return {}


def reply(page: Page, more: Mapping[str, str] | None = None) -> web.Response:
    """Return the page with the headers of every reply."""
    headers = {**_HEADERS, hdrs.CONTENT_TYPE: page.content_type, **(more or {})}
    response = web.Response(status=page.status, body=page.text.encode(), headers=headers)
    response.force_close()  # so that the time for a connection is that for a request
    return response
