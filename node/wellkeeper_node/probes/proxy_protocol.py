"""The PROXY protocol, version 1: the line in which a load balancer sends nginx the client's address.

`listen … proxy_protocol` rejects connections without it. Here the line repeats the connection's own
addresses. https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.1.
"""

import asyncio
import socket
import ssl

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.tracing import Trace

from wellkeeper_node.resolver import connected


def greeting(transport: asyncio.BaseTransport) -> bytes:
    """Return the line to send before everything else, even before TLS."""
    source, target = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    if not isinstance(source, tuple):  # a unix socket
        return b"PROXY UNKNOWN\r\n"
    family = "TCP6" if ":" in target[0] else "TCP4"
    return f"PROXY {family} {source[0]} {target[0]} {source[1]} {target[1]}\r\n".encode()


class ProxyProtocolConnector(aiohttp.BaseConnector):
    """A connector for one session with nginx nodes behind a load balancer; connections are not reused."""

    def __init__(self, context: ssl.SSLContext, resolver: AbstractResolver | None = None) -> None:
        super().__init__(force_close=True)
        self._resolver = resolver
        self._context = context

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],  # noqa: ARG002 - as aiohttp calls it
        timeout: aiohttp.ClientTimeout,  # noqa: ARG002 - the session's total timeout applies
    ) -> ResponseHandler:
        try:
            return await self._connect(req)
        except socket.gaierror as error:
            raise aiohttp.ClientConnectorDNSError(req.connection_key, error) from error
        except ssl.SSLError as error:
            raise aiohttp.ClientConnectorSSLError(req.connection_key, error) from error
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error

    async def _connect(self, req: ClientRequest) -> ResponseHandler:
        transport, handler = await connected(
            req.host or "",
            lambda found: self._loop.create_connection(self._factory, found, req.port or 0),
            self._resolver,
        )
        transport.write(greeting(transport))
        if not req.is_ssl():
            return handler
        handler = self._factory()
        try:
            secured = await self._loop.start_tls(
                transport, handler, self._context, server_hostname=req.server_hostname or req.host
            )
        except BaseException:
            transport.abort()
            raise
        if secured is None:  # pragma: no cover - asyncio's type allows it for a connection that is lost at that moment
            raise ConnectionResetError("the connection was closed")
        handler.connection_made(secured)
        return handler
