"""Send to a node's own nginx the requests that the CA and a browser will send.

Addresses come from the settings, never from DNS: a load balancer would pick any node. Redirects are followed as Boulder
does (va/http.go), but to the same node, because `return 301 https://…` is the most common server block.
"""

import asyncio
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from wellkeeper_client import wire
from wellkeeper_node.advice import handshakes, read_back
from wellkeeper_node.advice.read_back import Advice
from wellkeeper_node.bodies import read_body
from wellkeeper_node.certificates import reading
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Answer, Certificate, Identifier, IdentifierType, KeyAlgorithm, Node, ReadBack
from wellkeeper_node.network_errors import words
from wellkeeper_node.probes.proxy_protocol import ProxyProtocolConnector, greeting
from wellkeeper_node.resolver import DaemonResolver, connected
from wellkeeper_node.wording import with_reload

_USER_AGENT: Final = "wellkeeper (reads its own ACME challenge back)"
_MAX_REDIRECTS: Final = 10
# Not 303: Boulder does not follow it.
_FOLLOWED: Final = frozenset({301, 302, 307, 308})
_PORTS: Final = {"http": 80, "https": 443}

_Address = tuple[str, int]

_UNIX: Final = "unix:"


@dataclass(frozen=True, slots=True)
class _Hop:
    """A URL as the CA sees it, and the node's address to connect to for it."""

    url: str
    address: _Address

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)


# OpenSSL's reasons when the other side does not speak TLS at all; any other one is a refused handshake.
_NO_TLS: Final = {
    "WRONG_VERSION_NUMBER": "it answers in plain text",
    "RECORD_LAYER_FAILURE": "it answers in plain text",
    "HTTP_REQUEST": "it answers in plain text",
    "UNEXPECTED_EOF_WHILE_READING": "it closed the connection",
}


class NodeProbes:
    """Implements `ports.Probes`; a request or a handshake may take `timeout_seconds`.

    `speaks_proxy_protocol`: this host's nginx expects it in handshakes; each node has its own setting for read-backs.
    """

    def __init__(
        self,
        timeout_seconds: float = 5.0,
        *,
        speaks_proxy_protocol: bool = False,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._resolver = resolver or DaemonResolver(limit_seconds=timeout_seconds / 2)
        self._speaks_proxy_protocol = speaks_proxy_protocol

    async def read_back(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        """Implement `ports.Probes.read_back`; never raises for an answer of nginx."""
        timeout = aiohttp.ClientTimeout(total=self._timeout_seconds)
        async with aiohttp.ClientSession(
            connector=_connector(node, self._resolver),
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        ) as session:
            questions: list[Awaitable[ReadBack]] = [
                _Question(session, node, answer, self._timeout_seconds).ask(address) for address in node.http_addresses
            ]
            return tuple(await asyncio.gather(*questions))

    async def handshake(
        self,
        address: tuple[str, int],
        identifier: Identifier,
        key_algorithm: KeyAlgorithm | None = None,
        speaks_proxy_protocol: bool | None = None,
    ) -> Certificate | None:
        """Implement `ports.Probes.handshake`."""
        greets = self._speaks_proxy_protocol if speaks_proxy_protocol is None else speaks_proxy_protocol
        try:
            async with asyncio.timeout(self._timeout_seconds):
                writer = await open_stream(address, self._resolver)
                leaf = await _leaf(writer, identifier, _trusting_context(key_algorithm), greets=greets)
            return None if leaf is None else reading.read_certificate(leaf)
        except TimeoutError as error:
            raise VerifyError(
                f"no TLS handshake for {identifier} at {address_text(address)} within {self._timeout_seconds:g} s",
                remedy="Check for a firewall that drops it, or for nginx workers that hang.",
            ) from error
        except OSError as error:
            raise VerifyError(
                f"no TLS handshake for {identifier} at {address_text(address)}",
                words(error),
                handshakes.remedy_for_no_connection(address, error),
            ) from error
        except ValueError as error:
            what = f"{address_text(address)} serves a broken certificate for {identifier}"
            raise VerifyError(what, str(error)) from error


async def open_stream(address: _Address, resolver: AbstractResolver | None = None) -> asyncio.StreamWriter:
    """Connect; the host may be `unix:PATH`. The caller closes the transport. Raises OSError."""
    host, port = address
    if host.startswith(_UNIX):
        _, writer = await asyncio.open_unix_connection(host.removeprefix(_UNIX))
    else:
        _, writer = await connected(host, lambda found: asyncio.open_connection(found, port), resolver)
    return writer


async def _leaf(
    writer: asyncio.StreamWriter, identifier: Identifier, context: ssl.SSLContext, *, greets: bool
) -> bytes | None:
    """Return the leaf as DER, None when the handshake is refused. Raises OSError."""
    name = identifier.value if identifier.type is IdentifierType.DNS else ""
    try:
        if greets:
            writer.write(greeting(writer.transport))
        await writer.start_tls(context, server_hostname=name)
        leaf: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    except ssl.SSLError as error:
        if words_of_no_tls := _NO_TLS.get(error.reason or ""):
            raise OSError(0, words_of_no_tls) from error
        return None
    finally:
        writer.transport.abort()
    return leaf


class _Question:
    """The read-back of one token from one node."""

    def __init__(self, session: aiohttp.ClientSession, node: Node, answer: Answer, timeout_seconds: float) -> None:
        self._session = session
        self._node = node
        self._answer = answer
        self._timeout_seconds = timeout_seconds

    async def ask(self, address: _Address) -> ReadBack:
        """Follow redirects to the end; the result names the last URL and address, and the cause the first redirect."""
        url = f"http://{_host(self._answer.identifier.value)}{wire.CHALLENGE_PREFIX}{self._answer.token}"
        hop, seen, redirect = _Hop(url, address), {url}, ""
        while True:
            try:
                reply = await self._get(hop)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                advice = read_back.advice_on_failure(error, self._timeout_seconds, hop.address[1])
                return self._result(hop, None, _after(redirect, advice), is_elsewhere=bool(redirect))
            location = reply.headers.get("Location")
            if reply.status not in _FOLLOWED or location is None:
                found = read_back.advice_on_reply(reply, self._answer)
                is_elsewhere = found is not None and read_back.is_elsewhere(reply, is_redirected=bool(redirect))
                advice_on_reply = _after(redirect, found) if found and is_elsewhere else found
                result = self._result(hop, reply.status, advice_on_reply, is_elsewhere=is_elsewhere)
                return replace(result, is_token_unknown=read_back.is_token_unknown(reply))
            following = self._follow(hop, location, address, seen)
            if isinstance(following, Advice):
                return self._result(hop, reply.status, _after(redirect, following), is_elsewhere=True)
            redirect = redirect or f"{_site(hop.url)}/… answered {reply.status} to {_site(following.url)}/…"
            hop = following
            seen.add(hop.url)

    async def _get(self, hop: _Hop) -> read_back.Reply:
        parts = hop.parts
        name = parts.hostname or ""
        url = URL(f"{parts.scheme}://{address_text(hop.address)}{parts.path or '/'}", encoded=True)
        if parts.query:
            url = URL(f"{url}?{parts.query}", encoded=True)
        headers = {
            "Host": _host(name),
            "User-Agent": _USER_AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            wire.READ_BACK_HEADER: "1",
        }
        async with self._session.get(url, headers=headers, allow_redirects=False, server_hostname=name) as response:
            body = await read_body(response, read_back.longest_body(self._answer))
            return read_back.Reply(name, response.status, response.headers, body)

    def _follow(self, hop: _Hop, location: str, first: _Address, seen: set[str]) -> _Hop | Advice:
        """Return the next hop, or why the redirect is not followed."""
        try:
            url = urljoin(hop.url, location)
            port = _port(url)
        except ValueError:
            return Advice(f"a redirect to {location[:200]!r}, which is not a URL", _REDIRECT)
        refused = _refused(url, port, seen)
        if refused is not None:
            return Advice(f"a redirect to {location[:200]!r}{refused.cause}", refused.remedy)
        address = first if port == _PORTS["http"] else _partner(first, self._node.https_addresses)
        if address is None:
            return Advice(
                f"a redirect to {location[:200]!r}, but {self._node.name} has no https_addresses",
                with_reload("Set https_addresses of the node in the settings."),
            )
        return _Hop(url, address)

    def _result(self, hop: _Hop, status: int | None, advice: Advice | None, *, is_elsewhere: bool = False) -> ReadBack:
        cause, remedy = advice or (None, "")
        return ReadBack(self._node.name, hop.url, address_text(hop.address), status, cause, remedy, is_elsewhere)


def _after(redirect: str, advice: Advice) -> Advice:
    """Return the advice on what answered after the redirect, "" for none: the redirect is the line to change."""
    return Advice(f"{redirect}, where {advice.cause}", _REDIRECT) if redirect else advice


def _site(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


_REDIRECT: Final = "Move 'return 301' into 'location / { … }' and include challenge.conf in the server block."


def _port(url: str) -> int | None:
    """Return the URL's port, None when the CA's rules forbid the URL. Raises ValueError."""
    parts = urlsplit(url)
    port = parts.port or _PORTS.get(parts.scheme)
    return port if parts.scheme in _PORTS and port in _PORTS.values() and parts.hostname else None


def _refused(url: str, port: int | None, seen: set[str]) -> Advice | None:
    """Return why the CA would not follow a redirect to this URL; None when it would."""
    if port is None:
        return Advice(
            ", but the CA follows only http and https on ports 80 and 443", "Answer the challenge on port 80 instead."
        )
    if url in seen:
        return Advice(", which is a redirect loop", _REDIRECT)
    if len(seen) > _MAX_REDIRECTS:
        return Advice(f", but the CA follows only {_MAX_REDIRECTS} redirects", _REDIRECT)
    return None


def _connector(node: Node, resolver: AbstractResolver) -> aiohttp.BaseConnector:
    if node.speaks_proxy_protocol:
        return ProxyProtocolConnector(_trusting_context(), resolver)
    return aiohttp.TCPConnector(force_close=True, ssl=_trusting_context(), resolver=resolver)


@cache
def _trusting_context(key_algorithm: KeyAlgorithm | None = None) -> ssl.SSLContext:
    """Return a context that accepts every certificate: the probe asks which one is served, as the CA does.

    In TLS 1.2 the ciphers say which keys a client accepts; in 1.3 an extension does, which Python cannot set.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if key_algorithm is not None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"a{key_algorithm}")
    return context


def _partner(address: _Address, candidates: tuple[_Address, ...]) -> _Address | None:
    """Return the address most like this one: same host, else same family, else any."""
    is_v6 = ":" in address[0]
    ranked = sorted(candidates, key=lambda one: (one[0] != address[0], (":" in one[0]) != is_v6))
    return ranked[0] if ranked else None


def _host(name: str) -> str:
    """Return the name as in a URL and a Host header (RFC 3986 section 3.2.2)."""
    return f"[{ip_address(name)}]" if ":" in name else name


def address_text(address: _Address) -> str:
    """Return `HOST:PORT`, with brackets around an IPv6 address, or `unix:PATH`."""
    return address[0] if address[0].startswith(_UNIX) else f"{_host(address[0])}:{address[1]}"
