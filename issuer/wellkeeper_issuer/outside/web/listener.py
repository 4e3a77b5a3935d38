"""Listen on a unix socket or a TCP address. Connections are bounded, because renewals need file descriptors, too."""

import asyncio
import contextlib
import grp
import logging
import os
import socket
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from wellkeeper_client import permissions
from wellkeeper_client.own_addresses import why_not_bound
from wellkeeper_client.unix_sockets import remove_stale
from wellkeeper_issuer.errors import DaemonError
from wellkeeper_issuer.outside.web.site import Page, Site, reply

_log = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 64
# A request and its reply get at least this time, and at most twice as long.
_REQUEST_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 1.0
_REMEDY: Final = "Correct listen or group under [web], then run 'wellkeeper reload'."


@asynccontextmanager
async def listening(
    site: Site, address: Path | tuple[str, int], group: str | None = None, request_seconds: float = _REQUEST_SECONDS
) -> AsyncIterator[None]:
    """Serve the site inside the context. A unix socket is for our user, and for `group`, if one is given.

    Raises DaemonError.
    """
    server = _Server(site.handle, access_log=None)

    def accept() -> asyncio.Protocol:
        return server() if len(server.connections) < MOST_CONNECTIONS else _Refusal()

    loop = asyncio.get_running_loop()
    try:
        if isinstance(address, Path):
            listener = await loop.create_unix_server(accept, sock=_bind(address, group))
        else:
            listener = await loop.create_server(accept, *address)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name with an empty label, or a long one
        raise DaemonError(f"cannot listen on {shown(address)}", _why(error, address), _REMEDY) from error
    ending = loop.create_task(_end_slow_ones(server, request_seconds))
    try:
        yield
    finally:
        ending.cancel()
        listener.close()
        if isinstance(address, Path):
            _unlink(address)
        await server.shutdown(_STOP_SECONDS)


def shown(address: Path | tuple[str, int]) -> str:
    """Return the address as the settings have it."""
    return f"unix:{address}" if isinstance(address, Path) else f"{address[0]}:{address[1]}"


def _why(error: OSError | UnicodeError, address: Path | tuple[str, int]) -> str:
    if isinstance(error, UnicodeError):
        return "the host is not a valid name"
    if isinstance(address, Path) or isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return why_not_bound(error)


async def _end_slow_ones(server: web.Server, seconds: float) -> None:
    """Let no client keep others out that does not end its request, or does not read the reply."""
    last: Collection[web.RequestHandler] = ()
    while True:
        await asyncio.sleep(seconds)
        for one in server.connections:
            if one in last and one.transport is not None:
                one.transport.abort()
        last = server.connections


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - of aiohttp
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's words may quote what the client sent
    ) -> web.StreamResponse:
        """Answer a request that is not valid HTTP (400) or that we failed to handle (500), as all others."""
        if status >= 500:
            _log.error("internal error while answering a request", exc_info=exc)
        return reply(Page(f"{status}\n", status=status))


class _Refusal(asyncio.Protocol):
    """Ends a connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _bind(path: Path, group: str | None) -> socket.socket:
    """Return a bound socket, which refuses connections until it listens. Raises DaemonError and OSError."""
    if fault := permissions.find_fault(path.parent):
        raise DaemonError(f"cannot listen on unix:{path}", fault.why, fault.remedy)
    if complaint := remove_stale(path):
        raise DaemonError(f"cannot listen on unix:{path}", complaint, "Then run 'wellkeeper reload'.")
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(str(path))
        path.chmod(0o600)
        if group is not None:
            os.chown(path, -1, _gid(group))
            path.chmod(0o660)
    except (OSError, DaemonError):
        bound.close()
        raise
    return bound


def _unlink(path: Path) -> None:
    # The next daemon replaces a socket that stays.
    with contextlib.suppress(OSError):
        path.unlink()


def _gid(group: str) -> int:
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise DaemonError(f"cannot use group = {group!r} of [web]", "this host has no such group", _REMEDY) from None
