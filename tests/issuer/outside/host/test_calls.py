"""Calls that fail: no reason has the URL."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from wellkeeper_issuer.outside.host.calls import Call, CallError, call, host_of


@asynccontextmanager
async def answering(text: str) -> AsyncIterator[str]:
    """Answer each request with this text; yield the address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text.encode())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def failure_of(wanted: Call) -> str:
    with pytest.raises(CallError) as caught:
        await call(wanted)
    assert not re.search("secret[-\0]", str(caught.value))
    return str(caught.value)


async def test_answer_that_is_not_http_is_reported() -> None:
    async with answering("HTTP/1.1 abc\r\n\r\n") as address:
        assert (await failure_of(Call(f"{address}/secret-path", "1"))).startswith("its answer is not valid HTTP: ")


async def test_long_secret_in_a_long_answer_is_not_shown() -> None:
    token = "secret-" * 400
    async with answering(f"HTTP/1.1 401 No\r\n\r\nno user has {token}") as address:
        wanted = Call(address, "1", secrets=[token])
        assert await failure_of(wanted) == "it answered with HTTP 401: no user has …"


async def test_refusal_by_the_proxy_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as address:
        monkeypatch.setenv("https_proxy", address)
        monkeypatch.setenv("no_proxy", "")
        assert await failure_of(Call("https://hooks.example/secret-path", "1")) == "the proxy answered with HTTP 407"


async def test_invalid_header_is_reported(aiohttp_server: AiohttpServer) -> None:
    address = str((await aiohttp_server(web.Application())).make_url("/"))
    wanted = Call(address, "1", headers={"Authorization": "secret\0"})
    assert await failure_of(wanted) == "its URL, or a header with its secret, is not valid"


def test_host_of_an_invalid_url_is_not_shown() -> None:
    assert host_of("http://[::1/secret-path") == "an invalid URL"
