"""Limit the time for a request's header and the time that a slow reader gets.

aiohttp has no such limits for servers (it kept half a header for 150 s in a test). Its connection class is public, and
this one overrides only public methods.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast

from aiohttp import web

from wellkeeper_responder.capacity import Capacity

_log = logging.getLogger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# From the first byte, or from the connection's start, to the end of the header.
HEADER_SECONDS: Final = 5.0
# The time in which a peer must read from a full send buffer.
WRITE_SECONDS: Final = 10.0
# nginx closes idle upstream connections after 60 s (`keepalive_timeout` in `upstream`). Ours stay open longer, so that
# nginx never sends a request on a connection that we are closing.
IDLE_SECONDS: Final = 75.0
# The rest of a refused body is read for this time, so that the refusal arrives.
LINGERING_SECONDS: Final = 1.0

# auto_decompress: a small body could become a huge one.
_AIOHTTP: Final[dict[str, Any]] = {
    "keepalive_timeout": IDLE_SECONDS,
    "lingering_time": LINGERING_SECONDS,
    "access_log": None,
    "auto_decompress": False,
}
# For so long, a request may still be on its way.
_FRESH_SECONDS: Final = 1.0
# Process, user and group.
_CREDENTIALS: Final = struct.Struct("iII")
_REFUSAL: Final = "HTTP/1.1 503 Service Unavailable\r\nServer: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_RESPONDER: Final = "wellkeeper-responder"
# Behind nginx, its own limits on headers count.
_DEFAULT: Final[Mapping[str, Any]] = {}


class Connection(web.RequestHandler):
    """One connection. `is_handling` is true from a request's complete header to the end of its answer.

    The beginning of a next request that arrives in the same segment starts no header timer: until its next byte comes,
    only the limit for idle connections applies.
    """

    def __init__(
        self,
        server: web.Server,
        capacity: Capacity,
        program: str = _RESPONDER,
        header_limits: Mapping[str, Any] = _DEFAULT,
    ) -> None:
        self._clock_loop = asyncio.get_running_loop()
        super().__init__(server, loop=self._clock_loop, **_AIOHTTP, **header_limits)
        self._capacity = capacity
        self._program = program
        self._is_admitted = False
        self.peer = ""
        self.is_handling = False
        self._last_request_at = self._clock_loop.time()
        # A valid signature came over it: it is among the last to make room for others.
        self.is_signed = False
        # The time by which the expected header must be complete; None while none is expected.
        self.header_deadline: float | None = None
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.peer = _peer(transport)
        self._is_admitted = self._capacity.admit(self)
        if self._is_admitted:
            super().connection_made(transport)
            self._expect_header()
        elif isinstance(transport, asyncio.WriteTransport):
            transport.write(_REFUSAL.format(self._program).encode())
            transport.close()

    def data_received(self, data: bytes) -> None:
        # aiohttp calls this with empty data to parse what it has buffered.
        if data and not self.is_handling and self.header_deadline is None:
            self._expect_header()
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._is_admitted:
            self._is_admitted = False
            self._capacity.leave(self)
            self._stop_header_timer()
            self._stop_write_timer()
            super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self._clock_loop.call_later(WRITE_SECONDS, self._abort)

    def resume_writing(self) -> None:
        self._stop_write_timer()
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's words may quote what the peer sent
    ) -> web.StreamResponse:
        """Answer a request that is not HTTP (400) or that we failed to handle (500), and close the connection."""
        if status >= 500:
            _log.error("internal error while answering a request", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("part of the answer was already sent")
        response = web.Response(
            status=status, text=f"{status}\n", headers={"Server": self._program, "Cache-Control": "no-store"}
        )
        response.force_close()
        return response

    def _expect_header(self) -> None:
        self.header_deadline = self._clock_loop.time() + HEADER_SECONDS
        if self._header_timer is None:
            self._header_timer = self._clock_loop.call_at(self.header_deadline, self._check_header)

    def _check_header(self) -> None:
        """Close the connection at its deadline. One timer for many requests saves a tenth of the throughput."""
        self._header_timer = None
        if self.header_deadline is None:
            return
        if self.header_deadline <= self._clock_loop.time():
            self.force_close()
        else:
            self._header_timer = self._clock_loop.call_at(self.header_deadline, self._check_header)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    @property
    def is_idle(self) -> bool:
        """True when no request is under way, nor was a moment ago; a new connection is not idle yet."""
        return not self.is_handling and self._clock_loop.time() - self._last_request_at > _FRESH_SECONDS

    def note_request(self) -> None:
        """Note that a request begins or ends."""
        self._last_request_at = self._clock_loop.time()
        self._capacity.note_request(self)

    def drop(self) -> None:
        """End at once, whatever is under way."""
        self._abort()

    def _abort(self) -> None:
        # close() would wait for the buffer to empty.
        if self.transport is not None:
            self.transport.abort()


class ConnectionServer(web.Server):
    """The protocol factory of one listener: `handler` answers each request, as the `Server` named `program`.

    `header_limits` are aiohttp's `max_line_size`, `max_field_size` and `max_headers`.
    """

    def __init__(
        self,
        handler: Handler,
        capacity: Capacity,
        program: str = _RESPONDER,
        header_limits: Mapping[str, Any] = _DEFAULT,
    ) -> None:
        # Cancellation: a poll whose client has left must free its place.
        super().__init__(self._handle, handler_cancellation=True)
        self._handler = handler
        self._capacity = capacity
        self._program = program
        self._header_limits = header_limits

    def __call__(self) -> web.RequestHandler:
        return Connection(self, self._capacity, self._program, self._header_limits)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        # Made by __call__.
        connection = cast("Connection", request.protocol)
        connection.is_handling, connection.header_deadline = True, None
        connection.note_request()
        try:
            return await self._handler(request)
        finally:
            connection.is_handling = False
            connection.note_request()


def note_signature(request: web.BaseRequest) -> None:
    """Note that the request carried a valid signature."""
    # As ConnectionServer makes them.
    cast("Connection", request.protocol).is_signed = True


def peer_of(request: web.BaseRequest) -> str:
    """Return the IP address at the other end, or the user of a unix socket."""
    return cast("Connection", request.protocol).peer


def had_signature(request: web.BaseRequest) -> bool:
    """Return whether a request on the same connection carried a valid signature."""
    return cast("Connection", request.protocol).is_signed


def _peer(transport: asyncio.BaseTransport) -> str:
    """Return the user at the other end of a unix socket (unix(7), SO_PEERCRED), or the host at that of another."""
    connected = transport.get_extra_info("socket")
    if connected.family != socket.AF_UNIX:
        return str(connected.getpeername()[0])
    _, uid, _ = _CREDENTIALS.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return f"uid {uid}"
