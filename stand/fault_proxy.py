"""A CA that misbehaves: an ACME server over HTTPS that forwards requests to a real one unless a fault is staged.

Pebble builds its URLs from the Host header, and checks the URL that a client signed against it. The proxy forwards this
header unchanged, so that all URLs of the CA have the proxy's address.
"""

import asyncio
import base64
import json
import ssl
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from aiohttp import web

from stand.certificates import ServerCertificate, make_server_certificate
from stand.pebble import Pebble
from stand.ports import free_port
from stand.processes import StandError

# They belong to one connection, or are created for each reply.
_NOT_FORWARDED: Final = frozenset({"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"})


class Kind(StrEnum):
    """Requests by what they are for; the values are Pebble's paths."""

    DIRECTORY = "/dir"
    NONCE = "/nonce-plz"
    ACCOUNT = "/sign-me-up"
    OUR_ACCOUNT = "/my-account/"
    KEY_CHANGE = "/rollover-account-key"
    NEW_ORDER = "/order-plz"
    ORDER = "/my-order/"
    AUTHORIZATION = "/authZ/"
    CHALLENGE = "/chalZ/"
    FINALIZE = "/finalize-order/"
    CERTIFICATE = "/certZ/"
    RENEWAL_INFO = "/draft-ietf-acme-ari-03/renewalInfo/"


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply for a client; `headers` are those that matter to ACME."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; `at` is the event loop's time, `peer` the port that its connection comes from."""

    kind: Kind | None
    method: str
    url: str
    at: float
    body: bytes = b""
    peer: int = 0

    def payload(self) -> dict[str, Any]:
        """Return the signed payload (RFC 8555 section 6.2)."""
        text = json.loads(self.body)["payload"]
        found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return found

    @property
    def is_not_understood(self) -> bool:
        """Return whether Pebble answers this newOrder with an internal error.

        It knows no predecessor whose serial begins with a zero byte, which RFC 9773 section 4.1 wants for one in 256:
        https://github.com/letsencrypt/pebble/issues/550.
        """
        if self.kind is not Kind.NEW_ORDER:
            return False
        _, _, serial = self.payload().get("replaces", "").partition(".")
        return base64.urlsafe_b64decode(serial + "==").startswith(b"\0")


# A fault gets the request, and a function to forward it to the real CA; None cuts the connection.
Forward = Callable[[], Awaitable[Reply]]
Fault = Callable[[Asked, Forward], Awaitable[Reply | None]]


async def no_fault(_: Asked, forward: Forward) -> Reply:
    """Forward the request."""
    return await forward()


class FaultProxy:
    """`async with FaultProxy(folder, ca) as proxy`: `stage` adds faults, and `heal` removes them.

    An order that Pebble does not understand uses up no fault: the one that follows it does.
    Clients cannot reach the CA between `leave` and `come_back`; it keeps its data.
    """

    def __init__(self, folder: Path, ca: Pebble) -> None:
        self._ca = ca
        self._port = free_port()
        self._certificate: ServerCertificate = make_server_certificate(folder / "fault-proxy", ("localhost",))
        self._staged: defaultdict[Kind, deque[Fault]] = defaultdict(deque)
        self._stack = AsyncExitStack()
        self._is_away = False
        self.asked: list[Asked] = []

    @property
    def directory_url(self) -> str:
        return f"https://localhost:{self._port}{Kind.DIRECTORY}"

    @property
    def ca_bundle(self) -> Path:
        return self._certificate.ca_bundle

    def stage(self, kind: Kind, fault: Fault, *, times: int = 1, after: int = 0) -> None:
        """Stage a fault for `times` requests of the kind, after `after` forwarded requests. Faults queue up."""
        self._staged[kind].extend([no_fault] * after + [fault] * times)

    def heal(self) -> None:
        self._staged.clear()

    def staged(self, kind: Kind) -> int:
        """Return the number of staged faults of the kind."""
        return len(self._staged[kind])

    def times(self, kind: Kind) -> list[float]:
        """Return the times of the requests of the kind."""
        return [one.at for one in self.asked if one.kind is kind]

    async def leave(self) -> None:
        """Refuse connections; open ones end with their next request."""
        self._is_away = True
        await self._site.stop()

    async def come_back(self) -> None:
        self._is_away = False
        await self._listen()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            trusted = ssl.create_default_context(cafile=self._ca.ca_bundle)
            self._session = await stack.enter_async_context(
                aiohttp.ClientSession(
                    # The CA may be another process by the next request.
                    connector=aiohttp.TCPConnector(ssl=trusted, force_close=True),
                    auto_decompress=False,
                )
            )
            self._runner = web.ServerRunner(web.Server(self._serve), shutdown_timeout=0.1)
            await self._runner.setup()
            stack.push_async_callback(self._runner.cleanup)
            await self._listen()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _listen(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate.certificate, self._certificate.certificate_key)
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=context)
        await self._site.start()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        kind = next((kind for kind in Kind if request.path.startswith(kind)), None)
        body = await request.read()
        at, peer = asyncio.get_running_loop().time(), _peer(request)
        asked = Asked(kind, request.method, str(request.url), at, body, peer)
        if self._is_away:
            return _cut(request)
        self.asked.append(asked)

        async def forward() -> Reply:
            return await self._forward(request, body)

        reply = await self._next_fault(asked)(asked, forward)
        if reply is None:
            return _cut(request)
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

    def _next_fault(self, asked: Asked) -> Fault:
        staged = self._staged[asked.kind] if asked.kind else None
        return staged.popleft() if staged and not asked.is_not_understood else no_fault

    async def _forward(self, request: web.BaseRequest, body: bytes) -> Reply:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_FORWARDED}
        origin = self._ca.directory_url.removesuffix(Kind.DIRECTORY)
        async with self._session.request(
            request.method, f"{origin}{request.raw_path}", data=body or None, headers=headers, allow_redirects=False
        ) as reply:
            kept = {name: value for name, value in reply.headers.items() if name.lower() not in _NOT_FORWARDED}
            if not kept:
                raise StandError("the CA behind the proxy sent no headers")
            return Reply(reply.status, await reply.read(), kept)


def _peer(request: web.BaseRequest) -> int:
    transport = request.transport
    return int(transport.get_extra_info("peername")[1]) if transport else 0


def _cut(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
