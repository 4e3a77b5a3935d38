"""The webhook: its payload, and replies that count as success."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from tests.tls_server import tls_of
from wellkeeper_issuer.errors import HookError, RefusedError
from wellkeeper_issuer.messages import Message
from wellkeeper_issuer.outside.host.notifications import Sender, Webhook
from wellkeeper_issuer.records import Notice

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SENDER = Sender("node1", "1.2.3")
FAILED = Message("id-1", Notice.FAILURE, "www", "no answer from the CA", NOW)


class Receiver:
    """A server that accepts JSON at `/secret-path`; tests set its replies."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 204, "", dict[str, str]()
        self.received: list[tuple[str, dict[str, str], str]] = []
        self.requests: list[tuple[str, dict[str, str], str]] = []
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
        self.requests.append((request.path, dict(request.headers), await request.text()))
        if request.content_type != "application/json":
            return web.Response()
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


def webhook(url: str, **options: Any) -> Webhook:  # noqa: ANN401 - of Webhook
    return Webhook("chat", url, frozenset({Notice.FAILURE}), SENDER, **options)


async def failure_of(url: str, timeout_seconds: float = 10.0) -> str:
    with pytest.raises(HookError) as caught:
        await webhook(url, timeout_seconds=timeout_seconds).send(FAILED)
    assert "secret-path" not in str(caught.value)
    return str(caught.value)


async def test_server_that_repeats_the_request_reveals_no_secret(receiver: Receiver, folder: Path) -> None:
    (folder / "secret").write_text("a/b&c-secret\n")
    receiver.status, token = 404, "tk_0123456789"
    receiver.body = f"Cannot POST /secret-path?key=a%2Fb%26c-secret, a/b&amp;c-secret, Bearer {token}, a/b&c-secret"
    options = {"headers": {"Authorization": f"Bearer {token}", "X": "$secret"}, "secret_file": folder / "secret"}
    with pytest.raises(HookError) as caught:
        await webhook(f"{receiver.url}?key=$secret", **options).send(FAILED)
    assert caught.value.why == "it answered with HTTP 404: Cannot POST /…?key=…, …, Bearer …, …"


async def test_token_of_a_header_may_have_dollar_signs(receiver: Receiver) -> None:
    receiver.status, receiver.body = 401, "unknown: to$en-of-a-chat"
    with pytest.raises(HookError, match="HTTP 401: unknown: …"):
        await webhook(receiver.url, headers={"Authorization": "Bearer to$$en-of-a-chat"}).send(FAILED)


async def test_notice_is_a_json_document(receiver: Receiver) -> None:
    await webhook(receiver.url).send(FAILED)
    assert receiver.requests[0][1]["Idempotency-Key"] == "id-1"
    assert receiver.received == [
        (
            "application/json",
            {
                "id": "id-1",
                "event": "failure",
                "certificate": "www",
                "detail": "no answer from the CA",
                "at": "2026-03-01T12:00:00Z",
                "host": "node1",
                "command": "sudo wellkeeper why www",
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
        (Notice.RENEWED, "node1: certificate www was renewed: {why}"),
        (Notice.TEST, "node1: this is a test: {why}"),
    ],
)
async def test_text_is_a_readable_sentence(receiver: Receiver, notice: Notice, text: str) -> None:
    await webhook(receiver.url).send(Message("1", notice, "www", "{why}", NOW))
    assert receiver.received[0][1]["text"] == text


async def test_text_is_short_enough_for_chats(receiver: Receiver) -> None:
    await webhook(receiver.url).send(replace(FAILED, detail="why " * 500))
    document = receiver.received[0][1]
    assert (len(document["text"]), document["text"][-1]) == (1000, "…")
    assert document["detail"] == "why " * 500


@pytest.mark.parametrize("notice", list(Notice))
async def test_every_notice_has_a_sentence(receiver: Receiver, notice: Notice) -> None:
    await webhook(receiver.url).send(Message("1", notice, "www", "why", NOW))
    assert receiver.received[0][1]["text"].startswith("node1: ")


@pytest.mark.parametrize("notice", [Notice.BEHIND, Notice.CAUGHT_UP, Notice.JOINED, Notice.FORGOTTEN])
async def test_notice_about_a_node_names_the_node(receiver: Receiver, notice: Notice) -> None:
    await webhook(receiver.url).send(Message("1", notice, "web2", "not seen", NOW))
    found = receiver.received[0][1]
    assert (found["node"], "certificate" in found) == ("web2", False)


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_every_2xx_status_is_a_success(receiver: Receiver, status: int) -> None:
    receiver.status = status
    await webhook(receiver.url).send(FAILED)


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_refusal_is_reported_with_the_reply(receiver: Receiver, status: int) -> None:
    receiver.status, receiver.body = status, "no such\n\x1b[2Jchannel " + "x" * 5000
    reported = await failure_of(receiver.url)
    assert reported.startswith("cannot notify the webhook at 127.0.0.1 of the failure of www: ")
    assert f"it answered with HTTP {status}: no such [2Jchannel x" in reported
    assert reported.endswith(
        "x…. If its settings are wrong, correct them under [notifications],"
        " then run 'wellkeeper reload' if a daemon runs."
    )
    assert len(reported) < 480


async def test_compressed_reply_is_neither_asked_for_nor_shown(receiver: Receiver) -> None:
    receiver.status, receiver.body, receiver.headers = 500, "no channel", {"Content-Encoding": "x-packed"}
    assert "it answered with HTTP 500. If its settings" in await failure_of(receiver.url)
    assert receiver.accepted == ["identity"]


async def test_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.status, receiver.headers = 302, {"Location": "/elsewhere"}
    assert "it answered with HTTP 302. If its settings" in await failure_of(receiver.url)
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
    await webhook("http://hooks.example/secret-path").send(FAILED)
    assert len(receiver.received) == 1


async def test_body_and_headers_have_placeholders_and_the_secret_of_the_file(
    receiver: Receiver, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    chat = webhook(
        receiver.url.replace("secret-path", "secret-$secret"),
        headers={"Authorization": "Bearer $secret", "Title": "$title"},
        body={"content": "$text", "embeds": [{"title": "$event", "color": 3}], "price": "$$5"},
        secret_file=tmp_path / "secret",
    )
    with pytest.raises(HookError, match="HTTP 404"):
        await chat.send(FAILED)
    await replace(chat, url=receiver.url).send(replace(FAILED, detail='it says "no" for $5'))
    ((_, headers, _),) = receiver.requests
    assert (headers["Authorization"], headers["Title"]) == ("Bearer s3cret", "node1: cannot renew www")
    assert receiver.received[0][1] == {
        "content": 'node1: cannot renew certificate www: it says "no" for $5',
        "embeds": [{"title": "failure", "color": 3}],
        "price": "$5",
    }


async def test_text_as_body_is_sent_as_text(receiver: Receiver) -> None:
    await webhook(receiver.url, body="$title\n$detail\n$command").send(FAILED)
    ((_, headers, text),) = receiver.requests
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert text == "node1: cannot renew www\nno answer from the CA\nsudo wellkeeper why www"


@pytest.mark.parametrize("content", [None, "", "\n"])
async def test_missing_secret_is_an_error_with_the_file(
    receiver: Receiver, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_text(content)
    with pytest.raises(HookError, match=f"cannot read {path}: (No such file or directory|it is empty). Write the secr"):
        await webhook(receiver.url, secret_file=path).send(FAILED)


@pytest.mark.parametrize(("status", "is_of_one"), [(400, True), (413, True), (422, True), (404, False), (503, False)])
async def test_refusal_of_one_message_is_not_one_of_all(receiver: Receiver, status: int, *, is_of_one: bool) -> None:
    receiver.status = status
    with pytest.raises(HookError) as caught:
        await webhook(receiver.url).send(FAILED)
    assert isinstance(caught.value, RefusedError) == is_of_one


async def test_url_without_placeholders_may_have_dollar_signs(receiver: Receiver) -> None:
    await webhook(f"{receiver.url}?$x", is_template=False).send(FAILED)
    assert len(receiver.received) == 1


async def test_ca_bundle_verifies_the_server(aiohttp_server: AiohttpServer, tmp_path: Path) -> None:
    receiver = Receiver()
    server = await aiohttp_server(receiver.app(), ssl=tls_of(tmp_path))
    url = f"https://127.0.0.1:{server.port}/secret-path"
    assert "certificate verify failed" in await failure_of(url)
    await webhook(url, ca_bundle=tmp_path / "ca.pem").send(FAILED)
    assert len(receiver.received) == 1


async def test_server_that_closes_after_reading_is_a_failure() -> None:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert "Server disconnected" in await failure_of(f"http://127.0.0.1:{port}/secret-path")


async def test_header_of_the_settings_replaces_ours_in_any_case(receiver: Receiver) -> None:
    given = {"content-type": "text/markdown", "idempotency-KEY": "$id-1", "user-agent": "me", "accept-encoding": "br"}
    await webhook(receiver.url, headers=given, body="$text").send(FAILED)
    ((_, headers, _),) = receiver.requests
    found = sorted((name.lower(), text) for name, text in headers.items() if name.lower() in {*map(str.lower, given)})
    assert found == [
        ("accept-encoding", "br"),
        ("content-type", "text/markdown"),
        ("idempotency-key", "id-1-1"),
        ("user-agent", "me"),
    ]
