"""Exchange HTTP messages with one CA: limits for time and size, https only, no redirect of a signed request.

The one place of this package that sends anything. A reply's body is asked for uncompressed, and read up to a bound;
time is limited for connecting, for each read, and for the whole exchange, so that a reply that trickles has an end.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from wellkeeper_client.foreign_text import one_line
from wellkeeper_issuer.outside.ca.json_replies import ReplyError, UrlError, parse_object
from wellkeeper_issuer.outside.proxies import find_proxy
from wellkeeper_node.bodies import read_body
from wellkeeper_node.resolver import DaemonResolver
from wellkeeper_node.wording import with_reload

_log = logging.getLogger(__name__)

_MOST_REDIRECTS: Final = 3
_LONGEST_URL: Final = 2_000
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_JOSE: Final = {"Content-Type": "application/jose+json"}  # RFC 8555 section 6.2


# Gets the status of each reply, or None without one, and the seconds that it took.
OnReply = Callable[[int | None, float], None]


def _ignore(_status: int | None, _seconds: float) -> None:
    return


@dataclass(frozen=True, slots=True)
class Limits:
    """`connect_seconds` covers name resolution, TCP and TLS, `address_seconds` one address of the host.

    `read_seconds` is the longest silence, `total_seconds` the time from connecting to the last byte of the reply.
    """

    connect_seconds: float = 15.0
    address_seconds: float = 5.0
    read_seconds: float = 30.0
    total_seconds: float = 90.0
    # A chain of three certificates with a hundred names takes 10 KiB.
    body_bytes: int = 1024 * 1024
    # More only queue at the CA; Pebble hung forever with 32.
    requests_at_once: int = 8


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of a CA, whatever its status. `headers` are case-insensitive; `links` are its Link headers."""

    url: str
    status: int
    headers: Mapping[str, str]
    links: tuple[str, ...]
    body: bytes

    @property
    def is_error(self) -> bool:
        return self.status >= 400

    def json(self) -> Mapping[str, Any]:
        """Return the JSON object. Raises ReplyError."""
        return parse_object(self.body)

    def location(self) -> str:
        """Return the Location header as an absolute URL. Raises ReplyError when there is none."""
        url = self.headers.get("Location")
        if not url:
            raise ReplyError("it has no Location header")
        try:
            absolute = urljoin(self.url, url)
        except ValueError:
            absolute = ""
        if _parse(absolute) is None:
            raise ReplyError(f"its Location {one_line(url, 200)!r} is not a URL")
        return absolute


class CaSession:
    """Connections to one CA, opened with the first request. `bundle` is a file of roots; None: the system's.

    With `allow_http`, URLs may be plain http. Every method raises ReplyError, aiohttp.ClientError, TimeoutError and,
    for a bundle that cannot be read, OSError.
    """

    def __init__(
        self,
        user_agent: str,
        *,
        bundle: str | None = None,
        allow_http: bool = False,
        limits: Limits | None = None,
        on_reply: OnReply = _ignore,
    ) -> None:
        # RFC 8555 section 6.1 has the HTTP library named, too.
        user_agent = f"{user_agent} aiohttp/{aiohttp.__version__}"
        # The size of a compressed body is only known after decompression.
        self._headers = {"User-Agent": user_agent, "Accept-Language": "en", "Accept-Encoding": "identity"}
        self._bundle = bundle
        self._allow_http = allow_http
        self._limits = limits or Limits()
        self._on_reply = on_reply
        self._slots = asyncio.Semaphore(self._limits.requests_at_once)
        self._http: aiohttp.ClientSession | None = None
        self._proxies: dict[URL, URL | None] = {}

    async def close(self) -> None:
        """Close all connections. Idempotent; another request opens a new one."""
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    async def get(self, url: str) -> Reply:
        """Follow a few redirects, each to a URL that is checked like the first."""
        reply = await self._exchange("GET", url)
        for _ in range(_MOST_REDIRECTS):
            if reply.status not in _REDIRECTS:
                return reply
            reply = await self._exchange("GET", reply.location())
        if reply.status in _REDIRECTS:
            raise ReplyError(f"it redirects more than {_MOST_REDIRECTS} times")
        return reply

    async def head(self, url: str) -> Reply:
        return await self._exchange("HEAD", url)

    async def post(self, url: str, body: bytes) -> Reply:
        """Send a signed request once; its URL is signed, so a redirect is refused (RFC 8555 section 6.4)."""
        reply = await self._exchange("POST", url, body)
        if reply.status in _REDIRECTS:
            raise ReplyError(f"it redirects a signed request (HTTP {reply.status})")
        return reply

    async def _exchange(self, method: str, url: str, body: bytes | None = None) -> Reply:
        checked = self._check(url)
        async with self._slots:
            began_at, status = asyncio.get_running_loop().time(), None
            try:
                reply = await self._send(method, checked, body)
                status = reply.status
            finally:
                seconds = asyncio.get_running_loop().time() - began_at
                self._on_reply(status, seconds)
        _log.debug("%s %s: %d in %.3f s", method, url, reply.status, seconds)
        return reply

    async def _send(self, method: str, url: URL, body: bytes | None) -> Reply:
        origin, headers = url.origin(), _JOSE if body is not None else None
        if origin not in self._proxies:
            self._proxies[origin] = find_proxy(origin)
        http = self._http = self._http or self._open()
        async with http.request(
            method, url, data=body, headers=headers, allow_redirects=False, proxy=self._proxies[origin]
        ) as response:
            found = await read_body(response, self._limits.body_bytes)
            if len(found) > self._limits.body_bytes:
                raise ReplyError(f"it is longer than {self._limits.body_bytes // 1024} KiB")
            encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
            if found and encoding != "identity":
                raise ReplyError(f"it is encoded as {one_line(encoding, 40)!r}, although we asked for 'identity'")
            links = tuple(response.headers.getall("Link", ()))
            return Reply(str(url), response.status, response.headers, links, found)

    def _open(self) -> aiohttp.ClientSession:
        limits = self._limits
        timeout = aiohttp.ClientTimeout(
            total=limits.total_seconds,
            connect=limits.connect_seconds,
            sock_connect=limits.address_seconds,
            sock_read=limits.read_seconds,
        )
        connector = aiohttp.TCPConnector(limit=0, ssl=self._trusted(), resolver=DaemonResolver())
        return aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            headers=self._headers,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def _trusted(self) -> ssl.SSLContext | bool:
        """Return the roots of the bundle; True for those of the system (SSL_CERT_FILE), which aiohttp has read."""
        if self._bundle is None:
            return True
        try:
            return ssl.create_default_context(cafile=self._bundle)
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), self._bundle) from error

    def _check(self, url: str) -> URL:
        """Return the URL exactly as it is written, which is how it is signed. Raises UrlError."""
        found = _parse(url)
        if found is None:
            raise UrlError(f"{one_line(url, 200)!r} is not a URL")
        if found.scheme == "https" or (found.scheme == "http" and self._allow_http):
            return found
        raise UrlError(
            f"the URL {url[:200]} is not https",
            with_reload("Report this to the CA, or set allow_http = true under its [[cas]] if it is your own."),
        )


def _parse(url: str) -> URL | None:
    if len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        return None
    try:
        found = URL(url, encoded=True)
        host = found.host  # this parses the port, too
        (found.raw_host or "").encode("idna")  # as TLS does
    except ValueError:
        return None
    return found if host else None
