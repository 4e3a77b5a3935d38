"""The handshake of a client that verifies what it gets."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.fakes_deliver import FakeCa, dns
from tests.keys import certificate_key
from tests.node.probes.test_probes import tls_server
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Identifier, IdentifierType, KeyType
from wellkeeper_node.probes.trust import trusting, why_distrusted

A = dns("a.example")
HERE = Identifier(IdentifierType.IP, "127.0.0.1")
KEY = certificate_key(KeyType.ECDSA_P256)


@pytest.fixture(scope="module")
def ca() -> FakeCa:
    return FakeCa(datetime.now(UTC))


@pytest.fixture
def root(ca: FakeCa, tmp_path: Path) -> str:
    path = tmp_path / "root.pem"
    path.write_bytes(ca.root.public_bytes(Encoding.PEM))
    return str(path)


async def distrust(port: int, context: ssl.SSLContext, identifier: Identifier = A) -> str:
    return await why_distrusted(("127.0.0.1", port), identifier, context)


async def test_complete_chain_is_trusted(ca: FakeCa, root: str, tmp_path: Path) -> None:
    async with tls_server(tmp_path, ca.chain(KEY, A, HERE), KEY) as port:
        assert await distrust(port, trusting([root])) == ""
        assert await distrust(port, trusting([root]), HERE) == ""


async def test_leaf_alone_is_only_trusted_with_the_intermediate(ca: FakeCa, root: str, tmp_path: Path) -> None:
    intermediate = ca.intermediate.public_bytes(Encoding.PEM).decode()
    async with tls_server(tmp_path, ca.leaf(KEY, A), KEY) as port:
        assert await distrust(port, trusting([root])) == "unable to get local issuer certificate"
        assert await distrust(port, trusting([root], intermediate)) == ""
        assert await distrust(port, trusting([], intermediate)) == "unable to get issuer certificate"


async def test_other_name_is_refused(ca: FakeCa, root: str, tmp_path: Path) -> None:
    async with tls_server(tmp_path, ca.chain(KEY, A), KEY) as port:
        assert "Hostname mismatch" in await distrust(port, trusting([root]), dns("b.example"))


async def test_expired_certificate_is_refused(root: str, ca: FakeCa, tmp_path: Path) -> None:
    chain = ca.leaf(KEY, A, days=0.001) + ca.intermediate.public_bytes(Encoding.PEM)
    async with tls_server(tmp_path, chain, KEY) as port:
        assert await distrust(port, trusting([root])) == "certificate has expired"


async def test_proxy_protocol_is_spoken_before_tls() -> None:
    lines = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(VerifyError, match="no TLS handshake at "):
            await why_distrusted(("127.0.0.1", port), A, trusting(), greets=True)
    assert lines[0].startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 ")


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    ended = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10_000)  # the client's greeting
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        ended.set()

    async with await asyncio.start_server(wait, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await ended.wait()


async def test_server_that_does_not_answer_is_reported() -> None:
    async with silent_server() as port:
        with pytest.raises(VerifyError, match=rf"no TLS handshake at 127\.0\.0\.1:{port} within 0\.05 s"):
            await why_distrusted(("127.0.0.1", port), A, trusting(), timeout_seconds=0.05)


async def test_closed_port_is_reported() -> None:
    with pytest.raises(VerifyError, match=r"no TLS handshake at 127\.0\.0\.1:1: Connection refused"):
        await distrust(1, trusting())
