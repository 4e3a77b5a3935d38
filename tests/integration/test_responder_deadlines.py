"""Clients that take too long are cut off by the responder, and others are not."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.test_responder_process import Process, responder
from tests.processes import quickest
from tests.responder.http import ask, connect, parse
from wellkeeper_client import wire
from wellkeeper_responder.settings import UnixAddress

pytestmark = pytest.mark.integration


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Process]:
    async with responder(tmp_path) as process:
        yield process


async def _seconds_until_closed(address: UnixAddress, start: bytes, drip: bytes = b"") -> float:
    started = time.monotonic()
    reader, writer = await connect(address)
    writer.write(start)
    closed = asyncio.create_task(reader.read())
    while not closed.done():
        await asyncio.wait([closed], timeout=0.5)
        if drip and not closed.done():
            writer.write(drip)
    with contextlib.suppress(ConnectionError):
        assert await closed == b""
    writer.close()
    return time.monotonic() - started


async def test_header_must_come_within_five_seconds(running: Process) -> None:
    half = b"GET /.well-known/acme-challenge/" + b"x" * 43 + b" HTTP/1.1\r\nHost: x\r\nX-Slow: "

    async def wait() -> float:
        seconds = await asyncio.gather(
            _seconds_until_closed(running.public, b""),
            _seconds_until_closed(running.public, half),
            _seconds_until_closed(running.public, half, drip=b"x"),
            _seconds_until_closed(running.control, half),
            _seconds_until_closed(running.control, half, drip=b"x"),
        )
        assert min(seconds) > 4.5, seconds
        return max(seconds)

    assert await quickest(wait, below=7) < 7


async def test_second_request_on_a_connection_has_five_seconds_too(running: Process) -> None:
    async def wait() -> float:
        reader, writer = await connect(running.public)
        writer.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"there is nothing here\n")
        await asyncio.sleep(0.5)
        started = time.monotonic()
        writer.write(b"GET /not")
        assert await reader.read() == b""
        seconds = time.monotonic() - started
        assert seconds > 4.5
        writer.close()
        return seconds

    assert await quickest(wait, below=7) < 7


async def test_idle_connection_outlives_the_header_deadline(running: Process) -> None:
    reader, writer = await connect(running.public)
    for _ in range(2):
        writer.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"there is nothing here\n")
        await asyncio.sleep(6)
    assert not reader.at_eof()
    writer.close()


async def test_body_must_come_within_five_seconds(running: Process) -> None:
    reader, writer = await connect(running.control)
    head = f"PUT {wire.TOKENS_PREFIX}{'x' * 43} HTTP/1.1\r\nHost: x\r\nContent-Type: application/jose\r\n"
    writer.write(head.encode() + b"Content-Length: 100\r\n\r\nabc")
    reply = parse(await reader.read())
    assert (reply.status, reply.json()["type"]) == (408, "urn:wellkeeper:problem:too-slow")
    writer.close()


async def test_client_that_does_not_read_is_cut_off(running: Process) -> None:
    token = await running.publish()
    requests = 10_000 * f"GET {wire.CHALLENGE_PREFIX}{token} HTTP/1.1\r\nHost: x\r\n\r\n".encode()

    async def wait() -> float:
        started = time.monotonic()
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            client.connect(str(running.public.path))
            with pytest.raises(ConnectionError):
                await asyncio.get_running_loop().sock_sendall(client, requests)
        seconds = time.monotonic() - started
        assert seconds > 9
        return seconds

    assert await quickest(wait, below=15) < 15
    assert (await ask(running.public, "GET", wire.CHALLENGE_PREFIX + token)).status == 200
