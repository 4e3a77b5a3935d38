"""Replies that would unpack to 200 MB: no reader of replies needs more memory for one than for a long plain reply."""

import ast
import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.imports import module_name, source_files
from wellkeeper_client import health
from wellkeeper_client.publish import ResponderControl, ResponderError
from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.messages import Message
from wellkeeper_issuer.outside.ca.json_replies import ReplyError
from wellkeeper_issuer.outside.ca.session import CaSession
from wellkeeper_issuer.outside.host.notifications import Sender, Webhook
from wellkeeper_issuer.records import Notice
from wellkeeper_node.errors import PublishError
from wellkeeper_node.model import Answer, Node
from wellkeeper_node.probes.probes import NodeProbes
from wellkeeper_node.responders.client import ResponderClient

COMPRESS: Final[dict[str, Callable[[bytes, int], bytes]]] = {"gzip": gzip.compress, "deflate": zlib.compress}
# The longest plain reply of all is that of a responder, 4 MiB, and it is copied once.
MOST_BYTES: Final = 12 * 1024 * 1024
Read = Callable[[int], Awaitable[object]]


@cache
def bomb(encoding: str) -> bytes:
    return COMPRESS[encoding](b" " * 200_000_000, 1)


@asynccontextmanager
async def bombing(status: str, encoding: str) -> AsyncIterator[int]:
    """Yield the port of a server, or a proxy, that answers every request with a bomb."""
    body, asked = bomb(encoding), asyncio.Event()
    fields = (
        f"HTTP/1.1 {status}",
        f"Content-Encoding: {encoding}",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            writer.write("\r\n".join((*fields, "", "")).encode() + body)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
    assert asked.is_set()


async def ask_ca(port: int) -> None:
    session = CaSession("test", allow_http=True)
    try:
        await session.get(f"http://127.0.0.1:{port}/directory")
    finally:
        await session.close()


async def notify(port: int) -> None:
    webhook = Webhook("chat", f"http://127.0.0.1:{port}/", frozenset(Notice), Sender("node1", "1.2.3"))
    await webhook.send(Message("1", Notice.FAILURE, "web", "the CA says no", FakeClock().now()))


async def read_fetches(port: int) -> None:
    client = ResponderClient("n1", f"127.0.0.1:{port}", Ed25519PrivateKey.generate(), FakeClock())
    try:
        await client.fetches(0, wait_seconds=0)
    finally:
        await client.close()


async def read_back(port: int) -> object:
    node = Node("n1", f"127.0.0.1:{port}", (("127.0.0.1", port),), ())
    return await NodeProbes().read_back(node, Answer("t" * 22, "h" * 43, dns("a.example")))


async def read_status(port: int) -> object:
    client = ResponderControl(f"127.0.0.1:{port}", Ed25519PrivateKey.generate())
    return await asyncio.to_thread(client.status)


async def check_health(port: int) -> bool:
    return await asyncio.to_thread(health.is_healthy, f"127.0.0.1:{port}")


READERS: Final[dict[str, Read]] = {
    "CA": ask_ca,
    "webhook": notify,
    "responder": read_fetches,
    "read-back": read_back,
    "small client": read_status,
    "health check": check_health,
}


@pytest.mark.parametrize("encoding", COMPRESS)
@pytest.mark.parametrize("status", ["200 OK", "500 Broken"])
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
async def test_compressed_reply_needs_no_memory(
    read: Read, status: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    async with bombing(status, encoding) as port:
        assert await peak(read, port) < MOST_BYTES


@pytest.mark.parametrize("read", [ask_ca, notify], ids=["CA", "webhook"])
@pytest.mark.parametrize("status", ["200 OK", "502 Broken"])
async def test_compressed_reply_of_a_proxy_needs_no_memory(
    read: Read, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bombing(status, "gzip") as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        assert await peak(read, 1) < MOST_BYTES


async def peak(read: Read, port: int) -> int:
    """Return the most memory in use at one time while the reply is read, well or not."""
    tracemalloc.start()
    try:
        with suppress(ReplyError, HookError, PublishError, ResponderError):
            await read(port)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_every_http_session_leaves_replies_compressed() -> None:
    """A session that unpacks by itself has no bound: `wellkeeper_node.bodies` reads at most so many bytes."""
    sessions = [
        (module_name(path), {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords})
        for path in source_files()
        if module_name(path).startswith("wellkeeper_")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("ClientSession")
    ]
    assert sessions
    assert [name for name, given in sessions if given.get("auto_decompress") != "False"] == []
