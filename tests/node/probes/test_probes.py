"""Probes against servers that behave in unusual ways."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.fakes_deliver import FakeCa, dns
from tests.node.certificates.test_reading import KEY, to_pem, with_duplicate_extension
from wellkeeper_node.certificates import reading
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Answer, KeyAlgorithm, Node, ReadBack
from wellkeeper_node.probes.probes import NodeProbes, _trusting_context
from wellkeeper_node.probes.proxy_protocol import ProxyProtocolConnector

A = dns("a.example")


def server_context(folder: Path, chain_pem: bytes, key_pem: bytes) -> ssl.SSLContext:
    (folder / "chain.pem").write_bytes(chain_pem)
    (folder / "key.pem").write_bytes(key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    return context


@asynccontextmanager
async def tls_server(folder: Path, chain_pem: bytes, key_pem: bytes, **terms: ssl.TLSVersion) -> AsyncIterator[int]:
    """Yield the port of a server that shakes hands and closes."""
    context = server_context(folder, chain_pem, key_pem)
    for name, value in terms.items():
        setattr(context, name, value)

    def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """Yield the port of a server that answers the first bytes of one connection and closes it."""
    finished = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(answer)
        await writer.drain()
        writer.close()
        finished.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await finished.wait()


async def test_unreadable_served_certificate_is_an_error(folder: Path) -> None:
    key_pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    async with tls_server(folder, to_pem(with_duplicate_extension()), key_pem) as port:
        with pytest.raises(VerifyError, match=rf"127\.0\.0\.1:{port} serves"):
            await NodeProbes().handshake(("127.0.0.1", port), A)


async def test_certificate_of_one_key_type_is_requested(folder: Path) -> None:
    pair = FakeCa().pair(A)
    async with tls_server(folder, pair.chain_pem, pair.certificate_key_pem) as port:
        found = await NodeProbes().handshake(("127.0.0.1", port), A, KeyAlgorithm.ECDSA)
    assert found is not None
    assert found.key_algorithm is KeyAlgorithm.ECDSA


@pytest.mark.parametrize("greets", [False, True])
async def test_handshake_at_a_unix_socket_may_begin_with_a_proxy_line(folder: Path, *, greets: bool) -> None:
    pair, loop = FakeCa().pair(A), asyncio.get_running_loop()
    context = server_context(folder, pair.chain_pem, pair.certificate_key_pem)

    async def accept() -> bytes:
        """Return what comes before the handshake."""
        connection, _ = await loop.sock_accept(listening)
        line = b""
        while greets and not line.endswith(b"\n"):
            line += await loop.sock_recv(connection, 1)
        transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, connection, ssl=context)
        transport.close()
        return line

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "a.sock"))
        listening.listen()
        listening.setblocking(False)
        line, found = await asyncio.gather(
            accept(), NodeProbes().handshake((f"unix:{folder}/a.sock", 0), A, None, greets)
        )
    assert line == (b"PROXY UNKNOWN\r\n" if greets else b"")
    assert found == reading.read_certificate(pair.chain_pem)


async def test_refused_handshake_returns_no_certificate() -> None:
    handshake_failure = bytes.fromhex("15030300020228")
    async with answering(handshake_failure) as port:
        assert await NodeProbes().handshake(("127.0.0.1", port), A) is None


async def test_redirect_to_an_invalid_url_is_the_cause() -> None:
    redirect = b"HTTP/1.1 301 Moved\r\nLocation: http://[\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    async with answering(redirect) as port:
        found = await _read_back(port)
    assert found.status == 301
    assert "a redirect to 'http://['" in (found.cause or "")


async def _read_back(port: int) -> ReadBack:
    node = Node("n1", "unix:/none", (("127.0.0.1", port),), (("127.0.0.1", 443),))
    [found] = await NodeProbes().read_back(node, Answer("t" * 22, "h" * 43, A))
    return found


async def test_proxy_protocol_to_a_host_that_does_not_resolve() -> None:
    # A zone that does not exist is refused without a query to a name server.
    async with aiohttp.ClientSession(connector=ProxyProtocolConnector(_trusting_context())) as session:
        with pytest.raises(aiohttp.ClientConnectorDNSError):
            await session.get("http://[fe80::1%25nosuch0]/")
