"""The webhook: its payload, and replies that count as success."""

import asyncio

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from tests.fakes import FakeClock
from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.outside.host.notifications import Webhook
from wellkeeper_issuer.records import Notice


class Receiver:
    """A server that accepts JSON at `/secret-path`; tests set its replies."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 204, "", dict[str, str]()
        self.received: list[tuple[str, dict[str, str], str]] = []
        self.accepted: list[str] = []
        self.elsewhere: list[str] = []
        self.is_silent = False
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/secret-path", self._take)
        app.router.add_route("*", "/elsewhere", self._note)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        self.received.append((request.headers["Content-Type"], await request.json(), request.headers["User-Agent"]))
        self.accepted.append(request.headers["Accept-Encoding"])
        if self.is_silent:
            await asyncio.Event().wait()
        return web.Response(status=self.status, text=self.body, headers=self.headers)

    async def _note(self, request: web.Request) -> web.Response:
        self.elsewhere.append(request.method)
        return web.Response()


@pytest.fixture
async def receiver(aiohttp_server: AiohttpServer) -> Receiver:
    made = Receiver()
    made.url = str((await aiohttp_server(made.app())).make_url("/secret-path"))
    return made


def webhook(url: str, timeout_seconds: float = 10.0) -> Webhook:
    return Webhook(url, FakeClock(), host="node1", version="1.2.3", timeout_seconds=timeout_seconds)


async def failure_of(url: str, timeout_seconds: float = 10.0) -> str:
    with pytest.raises(HookError) as caught:
        await webhook(url, timeout_seconds).send(Notice.FAILURE, "www", "no answer from the CA")
    assert "secret-path" not in str(caught.value)
    return str(caught.value)


async def test_notice_is_a_json_document(receiver: Receiver) -> None:
    await webhook(receiver.url).send(Notice.FAILURE, "www", "no answer from the CA")
    assert receiver.received == [
        (
            "application/json",
            {
                "event": "failure",
                "certificate": "www",
                "detail": "no answer from the CA",
                "at": "2026-03-01T12:00:00Z",
                "host": "node1",
                "text": "node1: cannot renew certificate www: no answer from the CA",
            },
            "wellkeeper/1.2.3",
        )
    ]


@pytest.mark.parametrize(
    ("notice", "text"),
    [
        (Notice.DANGER, "node1: certificate www expires soon and was not renewed: {why}"),
        (Notice.RECOVERY, "node1: certificate www has recovered"),
        (Notice.FINDING, "node1: {why}"),
        (Notice.BEHIND, "node1: node www needs attention: {why}"),
        (Notice.CAUGHT_UP, "node1: node www has caught up: {why}"),
        (Notice.JOINED, "node1: node www has joined: {why}"),
        (Notice.FORGOTTEN, "node1: node www was removed: {why}"),
    ],
)
async def test_text_is_a_readable_sentence(receiver: Receiver, notice: Notice, text: str) -> None:
    await webhook(receiver.url).send(notice, "www", "{why}")
    assert receiver.received[0][1]["text"] == text


@pytest.mark.parametrize("notice", list(Notice))
async def test_every_notice_has_a_sentence(receiver: Receiver, notice: Notice) -> None:
    await webhook(receiver.url).send(notice, "www", "why")
    assert receiver.received[0][1]["text"].startswith("node1: ")


@pytest.mark.parametrize("notice", [Notice.BEHIND, Notice.CAUGHT_UP, Notice.JOINED, Notice.FORGOTTEN])
async def test_notice_about_a_node_names_the_node(receiver: Receiver, notice: Notice) -> None:
    await webhook(receiver.url).send(notice, "web2", "not seen")
    found = receiver.received[0][1]
    assert (found["node"], "certificate" in found) == ("web2", False)


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_every_2xx_status_is_a_success(receiver: Receiver, status: int) -> None:
    receiver.status = status
    await webhook(receiver.url).send(Notice.RECOVERY, "www", "well again")


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_refusal_is_reported_with_the_reply(receiver: Receiver, status: int) -> None:
    receiver.status, receiver.body = status, "no such\n\x1b[2Jchannel " + "x" * 5000
    reported = await failure_of(receiver.url)
    assert reported.startswith("cannot notify the webhook at 127.0.0.1 of the failure of www: ")
    assert f"it answered with HTTP {status}: no such [2Jchannel x" in reported
    assert reported.endswith(
        "x…. The next pass tries again. If the URL is wrong,"
        " correct webhook under [notifications], then run 'wellkeeper reload' if a daemon runs."
    )
    assert len(reported) < 450


async def test_compressed_reply_is_neither_asked_for_nor_shown(receiver: Receiver) -> None:
    receiver.status, receiver.body, receiver.headers = 500, "no channel", {"Content-Encoding": "x-packed"}
    assert "it answered with HTTP 500. The next pass" in await failure_of(receiver.url)
    assert receiver.accepted == ["identity"]


async def test_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.status, receiver.headers = 302, {"Location": "/elsewhere"}
    assert "it answered with HTTP 302. The next pass tries again." in await failure_of(receiver.url)
    assert receiver.elsewhere == []


async def test_silent_server_times_out(receiver: Receiver) -> None:
    receiver.is_silent = True
    assert "it did not answer within 0.1 s" in await failure_of(receiver.url, 0.1)


async def test_refused_connection_is_reported() -> None:
    assert "of www: Connection refused. " in await failure_of("http://127.0.0.1:1/secret-path")


async def test_invalid_url_is_reported_without_showing_it() -> None:
    assert "its URL is not valid" in await failure_of("http://a..b:99999999/secret-path")


async def test_environment_proxy_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", receiver.url.removesuffix("/secret-path"))
    monkeypatch.setenv("no_proxy", "")
    await webhook("http://hooks.example/secret-path").send(Notice.FAILURE, "www", "no answer from the CA")
    assert len(receiver.received) == 1
