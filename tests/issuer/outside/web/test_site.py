"""Replies of the status endpoint, over a real connection."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.responder.http import Reply, ask
from wellkeeper_issuer.outside.web.listener import listening
from wellkeeper_issuer.outside.web.site import Page, Query, Site
from wellkeeper_responder.settings import UnixAddress

HOSTS = ("localhost", "127.0.0.1", "[::1]", "status.example")


async def page(_query: Query) -> Page:
    return Page("hello\n")


async def echo(query: Query) -> Page:
    return Page(" ".join(f"{name}={value}" for name, value in sorted(query.items())))


async def defect(_query: Query) -> Page:
    raise OSError("a defect")


@pytest.fixture
async def address(folder: Path) -> AsyncIterator[UnixAddress]:
    path = folder / "status.sock"
    async with listening(Site({"/page": page, "/echo": echo, "/defect": defect}, HOSTS), path):
        yield UnixAddress(path)


async def get(address: UnixAddress, path: str = "/page", host: str = "localhost", method: str = "GET") -> Reply:
    return await ask(address, method, path, {"Host": host})


async def test_page_may_not_be_framed_cached_or_run_scripts(address: UnixAddress) -> None:
    reply = await get(address, "/page?refresh=1")
    assert (reply.status, reply.body) == (200, b"hello\n")
    assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in reply.headers["Content-Security-Policy"]
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "Set-Cookie" not in reply.headers


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ("state=failing&name=a%20b&page=", b"name=a b state=failing"),
        ("name=a&name=%3Cscript%3E", b"name=<script>"),
        ("&".join(f"x{number}=1" for number in range(17)), b""),
        ("%ff", b""),
    ],
    ids=["two", "repeated", "too many", "no value"],
)
async def test_page_gets_the_parameters(address: UnixAddress, query: str, seen: bytes) -> None:
    assert (await get(address, f"/echo?{query}")).body == seen


@pytest.mark.parametrize(
    "line", ["GET /<b> HTTP/9.9", "<b> / HTTP/1.1", f"GET /page?{'<b>' * 4_000} HTTP/1.1", "\x16\x03"]
)
async def test_what_is_not_valid_http_gets_a_reply_like_all_others(address: UnixAddress, line: str) -> None:
    reader, writer = await asyncio.open_unix_connection(address.path)
    writer.write(f"{line}\r\nHost: localhost\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert (head.split()[1], body) == ("400", "400\n")
    assert "\r\nContent-Security-Policy: default-src 'none'" in head
    assert "\r\nServer: wellkeeper\r\n" in head


async def test_defect_is_logged_and_not_shown(address: UnixAddress, caplog: pytest.LogCaptureFixture) -> None:
    reply = await get(address, "/defect")
    assert (reply.status, reply.body, reply.headers["Server"]) == (500, b"500\n", "wellkeeper")
    assert "a defect" in caplog.text


async def test_head_has_the_headers_alone(address: UnixAddress) -> None:
    reply = await get(address, method="HEAD")
    assert (reply.status, reply.body, reply.headers["Content-Length"]) == (200, b"", "6")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
async def test_other_methods_are_refused(address: UnixAddress, method: str) -> None:
    reply = await get(address, method=method)
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/page/", "//page", "/Page", "/%70age", "/x/../page", "http://localhost/page"])
async def test_paths_are_exact(address: UnixAddress, path: str) -> None:
    assert (await get(address, path)).status == 404


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:9900",
        "127.0.0.1:80",
        "[::1]",
        "[::1]:80",
        "status.example:",
        "status.example.",
        "localhost.:80",
    ],
)
async def test_request_for_one_of_our_hosts_is_answered(address: UnixAddress, host: str) -> None:
    assert (await get(address, host=host)).status == 200


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example", "[::2]", "::1", "localhost:x", ":80", ".", "localhost.."]
)
async def test_request_for_another_host_is_refused(address: UnixAddress, host: str) -> None:
    reply = await get(address, host=host)
    assert (reply.status, reply.body) == (421, b"unknown host; name it in hosts under [web]\n")
