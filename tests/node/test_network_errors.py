"""Causes of failed connections as text."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.hostile import HOSTILE, assert_harmless
from wellkeeper_node.network_errors import words


async def why(connector: aiohttp.BaseConnector | None, url: str) -> str:
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises((aiohttp.ClientError, OSError)) as caught:
            await session.get(url)
    return words(caught.value)


async def test_missing_socket_is_named(folder: Path) -> None:
    connector = aiohttp.UnixConnector(str(folder / "none.sock"))
    assert await why(connector, "http://responder/") == "No such file or directory"


async def test_refused_connection_is_named() -> None:
    assert await why(None, "http://127.0.0.1:1/") == "Connection refused"


async def test_port_without_tls_is_named() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reported = await why(None, f"https://127.0.0.1:{port}/")
    assert "ssl:" not in reported
    assert reported != "Operation not permitted"


def test_error_without_a_message_is_named_by_its_class() -> None:
    assert words(aiohttp.ClientPayloadError()) == "ClientPayloadError"
    assert words(ConnectionResetError()) == "it closed the connection"


@pytest.mark.parametrize(
    "error", [aiohttp.ClientPayloadError(HOSTILE), OSError(0, HOSTILE), aiohttp.InvalidURL(HOSTILE)], ids=type
)
def test_words_of_the_other_side_are_harmless(error: Exception) -> None:
    assert_harmless(words(error))
