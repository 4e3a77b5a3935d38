"""The PROXY protocol connector, which overrides a private method of aiohttp: these tests fail when that changes."""

import asyncio
import inspect
import socket

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest

from wellkeeper_node.probes.probes import _trusting_context
from wellkeeper_node.probes.proxy_protocol import ProxyProtocolConnector, greeting


def test_aiohttp_still_calls_the_method_that_is_overridden() -> None:
    original = inspect.signature(aiohttp.BaseConnector._create_connection)  # noqa: SLF001 - what this test is about
    override = inspect.signature(ProxyProtocolConnector._create_connection)  # noqa: SLF001
    assert list(override.parameters) == list(original.parameters) == ["self", "req", "traces", "timeout"]
    assert "self._create_connection(req, traces, timeout)" in inspect.getsource(aiohttp.BaseConnector.connect)


class Recording(ProxyProtocolConnector):
    """A connector that records the requests aiohttp passes to it."""

    def __init__(self) -> None:
        super().__init__(_trusting_context())
        self.requests: list[ClientRequest] = []

    async def _connect(self, req: ClientRequest) -> ResponseHandler:
        self.requests.append(req)
        return await super()._connect(req)


async def test_aiohttp_still_passes_what_the_connector_reads() -> None:
    connector = Recording()
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get("https://127.0.0.1:1/")
    (request,) = connector.requests
    assert (request.host, request.port, request.is_ssl()) == ("127.0.0.1", 1, True)
    assert (request.server_hostname, request.connection_key.host) == (None, "127.0.0.1")


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
async def test_connection_begins_with_exactly_one_proxy_line(family: socket.AddressFamily) -> None:
    requests: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    host = "127.0.0.1" if family is socket.AF_INET else "::1"
    async with (
        await asyncio.start_server(answer, host, 0) as server,
        aiohttp.ClientSession(connector=ProxyProtocolConnector(_trusting_context())) as session,
    ):
        port = server.sockets[0].getsockname()[1]
        url = f"http://{host if family is socket.AF_INET else f'[{host}]'}:{port}/"
        for _ in range(2):
            async with session.get(url) as reply:
                assert await reply.text() == "ok"
    for request in requests:
        first, second, *_ = request.split(b"\r\n")
        name = b"TCP4" if family is socket.AF_INET else b"TCP6"
        assert first.startswith(b"PROXY " + name + f" {host} {host} ".encode())
        assert first.endswith(f" {port}".encode())
        assert second == b"GET / HTTP/1.1"
    assert len(requests) == 2


def test_proxy_line_has_the_connections_own_addresses() -> None:
    class Transport(asyncio.BaseTransport):
        pass

    transport = Transport({"sockname": ("192.0.2.1", 40000), "peername": ("192.0.2.2", 80)})
    assert greeting(transport) == b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 80\r\n"
