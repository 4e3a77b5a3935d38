"""The public listener: published tokens and nothing else."""

import pytest

from tests.responder.conftest import Running
from tests.responder.http import ask, connect, send
from tests.responder.messages import OTHER_TOKEN, THUMBPRINT, TOKEN, publication
from wellkeeper_client import wire

_PATH = wire.CHALLENGE_PREFIX + TOKEN
_ANSWER = f"{TOKEN}.{THUMBPRINT}".encode()


async def test_published_token_is_answered_with_exactly_the_key_authorization(running: Running) -> None:
    await running.publish(publication())
    reply = await running.get(TOKEN)
    assert (reply.status, reply.body) == (200, _ANSWER)


async def test_answer_has_exactly_these_headers(running: Running) -> None:
    await running.publish(publication())
    headers = (await running.get(TOKEN, {"Accept-Encoding": "gzip, br"})).headers
    del headers["Date"]
    assert headers == {
        "Content-Type": "application/octet-stream",
        "Content-Length": "87",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        "Server": "wellkeeper-responder",
        "Connection": "close",
    }


async def test_head_returns_the_headers_of_get_without_the_body(running: Running) -> None:
    await running.publish(publication())
    get = await running.get(TOKEN)
    head = await running.get(TOKEN, method="HEAD")
    assert (head.status, head.headers, head.body) == (200, get.headers, b"")


async def test_token_is_answered_until_its_lifetime_is_over(running: Running) -> None:
    await running.publish(publication())
    running.clock.advance(600)
    assert (await running.get(TOKEN)).status == 404


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(wire.CHALLENGE_PREFIX + OTHER_TOKEN, id="an unpublished token"),
        pytest.param(wire.CHALLENGE_PREFIX + TOKEN[:-1], id="a token's beginning"),
        pytest.param(_PATH + "/", id="slash after"),
        pytest.param(_PATH + "?", id="empty query"),
        pytest.param(_PATH + "?a=b", id="query"),
        pytest.param(_PATH + "#x", id="fragment"),
        pytest.param(_PATH + "%00", id="zero byte"),
        pytest.param("/" + _PATH, id="two slashes"),
        pytest.param("/." + _PATH, id="a dot segment"),
        pytest.param("/a/.." + _PATH, id="two dot segments"),
        pytest.param(_PATH.replace("/.well", "/%2ewell"), id="escaped dot"),
        pytest.param(_PATH.replace("acme", "ACME"), id="capitals"),
        pytest.param(wire.CHALLENGE_PREFIX + f"%{ord(TOKEN[0]):x}{TOKEN[1:]}", id="escaped letter"),
        pytest.param(wire.CHALLENGE_PREFIX, id="no token"),
        pytest.param("http://example.com" + _PATH, id="absolute form"),
        pytest.param("/", id="the root"),
        pytest.param(wire.TOKENS_PREFIX + TOKEN, id="control: a token"),
        pytest.param(wire.STATUS_PATH, id="control: status"),
        pytest.param(wire.FETCHES_PATH, id="control: fetches"),
        pytest.param(wire.HEALTH_PATH, id="control: health"),
        pytest.param(wire.METRICS_PATH, id="control: metrics"),
    ],
)
async def test_everything_else_is_not_found(running: Running, path: str) -> None:
    await running.publish(publication())
    assert (await ask(running.public, "GET", path)).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get"])
async def test_other_methods_are_not_allowed(running: Running, method: str) -> None:
    await running.publish(publication())
    reply = await running.get(TOKEN, method=method)
    # The parser rejects a lower-case method as invalid HTTP.
    assert reply.status in {400, 405}
    if reply.status == 405:
        assert reply.headers["Allow"] == "GET, HEAD"
    assert _ANSWER not in reply.body


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_control_is_not_reachable_through_the_public_listener(running: Running, method: str) -> None:
    await running.publish(publication())
    for path in (wire.TOKENS_PREFIX + TOKEN, f"{wire.TOKENS_PREFIX}..%2f.well-known%2facme-challenge%2f{TOKEN}"):
        assert (await ask(running.public, method, path, body=b"x")).status == 404


async def test_fetch_is_recorded_with_the_headers_from_nginx(running: Running) -> None:
    await running.publish(publication())
    await running.get(TOKEN, {"X-Real-IP": "192.0.2.7", "User-Agent": "CA/1.0", "Host": "www.example.com"})
    fetches = (await running.read(wire.FETCHES_PATH)).json()["fetches"]
    assert fetches == [
        {
            "sequence": 1,
            "at": running.clock.now().timestamp(),
            "token": TOKEN,
            "client_address": "192.0.2.7",
            "user_agent": "CA/1.0",
            "host": "www.example.com",
            "status": 200,
            "is_read_back": False,
        }
    ]


async def test_read_back_is_marked_and_not_counted_as_a_ca_fetch(running: Running) -> None:
    await running.publish(publication())
    await running.get(TOKEN, {wire.READ_BACK_HEADER: "1"})
    assert (await running.read(wire.FETCHES_PATH)).json()["fetches"][0]["is_read_back"] is True
    metrics = (await running.read(wire.METRICS_PATH)).body.decode()
    assert 'wellkeeper_fetches_total{kind="read_back",status="200"} 1.0' in metrics
    assert 'kind="ca"' not in metrics


async def test_request_for_an_unpublished_token_is_counted_as_a_strangers_unless_it_is_a_read_back(
    running: Running,
) -> None:
    await running.publish(publication())
    await running.get(TOKEN)
    await running.get(OTHER_TOKEN)
    await running.get(OTHER_TOKEN, {wire.READ_BACK_HEADER: "1"})
    metrics = (await running.read(wire.METRICS_PATH)).body.decode()
    assert 'wellkeeper_fetches_total{kind="ca",status="200"} 1.0' in metrics
    assert 'wellkeeper_fetches_total{kind="read_back",status="404"} 1.0' in metrics
    assert 'wellkeeper_fetches_total{kind="stranger",status="404"} 1.0' in metrics
    assert 'kind="ca",status="404"' not in metrics


async def test_token_misses_are_recorded_and_other_paths_are_not(running: Running) -> None:
    await running.get(OTHER_TOKEN)
    await running.get("short")
    await running.get(OTHER_TOKEN, method="POST")
    fetches = (await running.read(wire.FETCHES_PATH)).json()["fetches"]
    assert [(fetch["token"], fetch["status"]) for fetch in fetches] == [(OTHER_TOKEN, 404)]


async def test_foreign_text_is_shortened_and_made_printable(running: Running) -> None:
    await running.get(OTHER_TOKEN, {"User-Agent": "é\udcff" + "x" * 5000, "X-Real-IP": "y" * 500})
    fetch = (await running.read(wire.FETCHES_PATH)).json()["fetches"][0]
    assert len(fetch["user_agent"]) == 200
    assert fetch["user_agent"].startswith("é\N{REPLACEMENT CHARACTER}x")
    assert fetch["client_address"] == "y" * 64


async def test_invalid_http_gets_a_short_400_without_quoting_it(running: Running) -> None:
    answer = await send(running.public, b"GET / HTTP/1.1\r\nno header at all <script>\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b"script" not in answer
    assert b"aiohttp" not in answer


async def test_connection_serves_one_request_after_another(running: Running) -> None:
    await running.publish(publication())
    reader, writer = await connect(running.public)
    for _ in range(3):
        writer.write(f"GET {_PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await reader.readuntil(_ANSWER)).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
