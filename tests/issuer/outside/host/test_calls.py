"""Calls that fail: no reason has the URL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from wellkeeper_issuer.outside.host.calls import Call, CallError, call


@asynccontextmanager
async def answering(text: str) -> AsyncIterator[str]:
    """Answer each request with this text; yield the address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def failure_of(wanted: Call) -> str:
    with pytest.raises(CallError) as caught:
        await call(wanted)
    assert "secret" not in str(caught.value)
    return str(caught.value)


async def test_answer_that_is_not_http_is_reported() -> None:
    async with answering("HTTP/1.1 abc\r\n\r\n") as address:
        assert (await failure_of(Call(f"{address}/secret-path", "1"))).startswith("its answer is not valid HTTP: ")


async def test_refusal_by_the_proxy_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as address:
        monkeypatch.setenv("https_proxy", address)
        monkeypatch.setenv("no_proxy", "")
        assert await failure_of(Call("https://hooks.example/secret-path", "1")) == "the proxy answered with HTTP 407"
