"""The heartbeat URL: one request, whose failures have its host only."""

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.outside.host.calls import Call
from wellkeeper_issuer.outside.host.pulse import UrlPulse


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_request_has_the_method_of_the_settings(aiohttp_server: AiohttpServer, method: str) -> None:
    received = []

    async def take(request: web.Request) -> web.Response:
        received.append((request.method, request.headers["User-Agent"], await request.read()))
        return web.Response(text="OK")

    app = web.Application()
    app.router.add_route("*", "/secret-path", take)
    url = str((await aiohttp_server(app)).make_url("/secret-path"))
    await UrlPulse(Call(url, "1.2.3", method), 60).call()
    assert received == [(method, "wellkeeper/1.2.3", b"")]


async def test_failure_names_only_the_host() -> None:
    with pytest.raises(HookError) as caught:
        await UrlPulse(Call("http://127.0.0.1:1/secret-path", "1", "GET"), 60).call()
    assert str(caught.value) == (
        "cannot call the heartbeat URL at 127.0.0.1: Connection refused. It is called again after the next check. If "
        "this is wrong, correct [heartbeat], then run 'wellkeeper reload' if a daemon runs."
    )
