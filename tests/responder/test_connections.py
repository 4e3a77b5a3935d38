"""Connections whose handler fails, and slow readers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.responder.http import ask, connect, send
from wellkeeper_responder.capacity import Capacity
from wellkeeper_responder.connections import ConnectionServer, Handler
from wellkeeper_responder.listeners import Listener
from wellkeeper_responder.settings import UnixAddress

Serving = Callable[[Handler], AbstractAsyncContextManager[UnixAddress]]

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def _not_full() -> None:
    raise AssertionError("no connection has to make room here")


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    @asynccontextmanager
    async def serve(handler: Handler) -> AsyncIterator[UnixAddress]:
        address = UnixAddress(tmp_path / "a.sock")
        connections = ConnectionServer(handler, Capacity(8, _not_full, _not_full))
        listener = await Listener.open(address, 0o600, connections)
        yield address
        await listener.close(0.1)

    return serve


async def test_fault_is_answered_briefly_and_logged_with_the_reason(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_request: web.BaseRequest) -> web.StreamResponse:
        raise RuntimeError("a secret detail")

    async with serving(fail) as address:
        reply = await ask(address, "GET", "/")
        assert (reply.status, reply.body) == (500, b"500\n")
        assert reply.headers["Server"] == "wellkeeper-responder"
    (record,) = [record for record in caplog.records if record.message == "internal error while answering a request"]
    assert "a secret detail" in str(record.exc_info)


async def test_fault_during_an_answer_closes_the_connection(serving: Serving) -> None:
    async def fail_late(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise RuntimeError("the other half is missing")

    async with serving(fail_late) as address:
        answer = await send(address, REQUEST)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"half" in answer
        assert b"500" not in answer


async def test_reader_that_catches_up_gets_everything(serving: Serving) -> None:
    count = 200

    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"x" * 10_000)

    async with serving(answer) as address:
        reader, writer = await connect(address)
        writer.write(count * REQUEST)
        # Buffers fill up, because the client does not read.
        for _ in range(2000):
            await asyncio.sleep(0)
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < count or not received.endswith(b"x" * 10_000):
            received += await reader.read(1_000_000)
        writer.close()
