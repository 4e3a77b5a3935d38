"""Calls that fail: no reason has the URL."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from wellkeeper_issuer.errors import HookError
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


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
async def test_proxy_may_have_no_scheme_as_for_cas(
    aiohttp_server: AiohttpServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(str(request.url))
        return web.Response()

    app = web.Application()
    app.router.add_post("/secret-path", answer)
    monkeypatch.setenv("http_proxy", "")
    monkeypatch.setenv(variable, (await aiohttp_server(app)).make_url("").authority)
    monkeypatch.setenv("no_proxy", "")
    await call(Call("http://hooks.invalid/secret-path", "1"))
    assert asked == ["http://hooks.invalid/secret-path"]


async def test_proxy_that_cannot_be_used_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://user:secret-1@127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(HookError) as caught:
        await call(Call("https://hooks.invalid/secret-path", "1"))
    assert caught.value.lines == (
        "cannot use the proxy for hooks.invalid from the environment",
        "it is not the http:// or https:// URL of a proxy",
        "Correct HTTPS_PROXY, or add hooks.invalid to NO_PROXY.",
    )


async def test_password_of_netrc_is_not_sent(
    aiohttp_server: AiohttpServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "netrc").write_text("machine 127.0.0.1 login me password secret-1\n")
    monkeypatch.setenv("NETRC", str(folder / "netrc"))
    headers = []

    async def answer(request: web.Request) -> web.Response:
        headers.append(request.headers)
        return web.Response()

    app = web.Application()
    app.router.add_post("/", answer)
    await call(Call(str((await aiohttp_server(app)).make_url("/")), "1"))
    assert [one.get("Authorization") for one in headers] == [None]


@pytest.mark.parametrize("url", ["http://[::1/secret-path", "http://?secret-1"])
async def test_invalid_url_is_not_shown(url: str) -> None:
    assert await failure_of(Call(url, "1")) == "its URL is not valid"


async def test_invalid_header_is_reported(aiohttp_server: AiohttpServer) -> None:
    address = str((await aiohttp_server(web.Application())).make_url("/"))
    wanted = Call(address, "1", headers={"Authorization": "secret\0"})
    assert await failure_of(wanted) == "its URL, or a header with its secret, is not valid"


def test_host_of_an_invalid_url_is_not_shown() -> None:
    assert host_of("http://[::1/secret-path") == "an invalid URL"
