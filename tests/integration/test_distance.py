"""The proxy that makes a server seem far away: every byte takes its time, and a connection a round trip."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from stand.distance import DistantServer

pytestmark = pytest.mark.integration

_ONE_WAY_SECONDS: Final = 0.05


@asynccontextmanager
async def _running_echo() -> AsyncIterator[DistantServer]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/dir"
    async with server, DistantServer(url, _ONE_WAY_SECONDS) as distant:
        yield distant


async def _connect(distant: DistantServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = distant.url.removeprefix("https://").removesuffix("/dir").partition(":")
    return await asyncio.open_connection(host, int(port))


async def test_first_reply_takes_two_round_trips_and_each_further_one_takes_one() -> None:
    async with _running_echo() as distant:
        began = time.monotonic()
        reader, writer = await _connect(distant)
        for number in range(3):
            writer.write(b"%d\n" % number)
            assert await reader.readline() == b"%d\n" % number
            assert time.monotonic() - began >= 2 * (number + 2) * _ONE_WAY_SECONDS
        writer.close()


async def test_everything_arrives_in_order_and_then_the_end() -> None:
    async with _running_echo() as distant:
        reader, writer = await _connect(distant)
        lines = b"".join(b"%d\n" % number for number in range(100_000))
        writer.write(lines)
        writer.write_eof()
        assert await reader.read(-1) == lines
        writer.close()


async def test_connections_are_counted() -> None:
    async with _running_echo() as distant:
        for _ in range(3):
            _, writer = await _connect(distant)
            writer.write(b"\n")
            writer.close()
            await writer.wait_closed()
        reader, writer = await _connect(distant)
        writer.write(b"\n")
        await reader.readline()
        writer.close()
        assert distant.connections == 4
