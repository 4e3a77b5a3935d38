"""A fetcher as strict as Boulder's, against nginx and responder, from several perspectives at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from stand.boulder_fetch import Fetch, Internet, Place, RefusedError, validate
from stand.certificates import make_server_certificate
from stand.nginx import NginxServer, NginxSettings, Site
from stand.ports import free_port
from tests.integration.nodes import responding
from tests.responder.messages import THUMBPRINT, TOKEN

pytestmark = pytest.mark.integration

NAME: Final = "a.example"
ANSWER: Final = f"{TOKEN}.{THUMBPRINT}"
PLACES: Final = [Place(f"127.0.0.{number}") for number in range(11, 17)]
_PATH: Final = f"/.well-known/acme-challenge/{TOKEN}"


def reply(status: int, body: str = "", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@asynccontextmanager
async def replying(*replies: bytes, host: str = "127.0.0.1", port: int) -> AsyncIterator[None]:
    """Run a server that sends the replies in order and repeats the last one."""
    left = list(replies)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, host, port):
        yield


def internet(port: int, *addresses: str, https_port: int = 1) -> Internet:
    return Internet({NAME: addresses or ("127.0.0.1",)}, {80: port, 443: https_port})


async def look(seen: Internet, place: Place = PLACES[0]) -> Fetch:
    fetch = Fetch(seen, place)
    await fetch.run(NAME, TOKEN, ANSWER)
    return fetch


def redirect(target: str, status: int = 302) -> bytes:
    return reply(status, "", f"Location: {target}")


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        ([reply(200, ANSWER)], None),
        ([reply(200, ANSWER + "\n")], "did not match"),
        ([reply(200, ANSWER + " " * (128 - len(ANSWER)))], "128 bytes or more"),
        ([reply(200, ANSWER[:-1])], "did not match"),
        ([reply(201, ANSWER)], "201"),
        ([reply(204)], "204"),
        ([reply(404, ANSWER)], "404"),
        ([reply(200, ANSWER).replace(b"HTTP/1.1", b"HTTP/1.0")], "not HTTP/1.1"),
        *[([redirect(f"http://{NAME}/x", status), reply(200, ANSWER)], None) for status in (301, 302, 307, 308)],
        ([redirect(f"http://{NAME}/x", 303), reply(200, ANSWER)], "303"),
        ([redirect(f"http://{NAME}:8080/x"), reply(200, ANSWER)], "Invalid port"),
        ([redirect(f"http://{NAME}:443/x"), reply(200, ANSWER)], "Invalid port"),
        ([redirect(f"ftp://{NAME}/x"), reply(200, ANSWER)], "Invalid protocol scheme"),
        ([redirect(_PATH), reply(200, ANSWER)], "Redirect loop"),
        ([redirect("/" + "x" * 2000), reply(200, ANSWER)], "too long"),
        ([*[redirect(f"/{number}") for number in range(10)], reply(200, ANSWER)], None),
        ([*[redirect(f"/{number}") for number in range(11)], reply(200, ANSWER)], "Too many redirects"),
    ],
)
async def test_fetcher_is_as_strict_as_boulder(http_port: int, replies: list[bytes], words: str | None) -> None:
    async with replying(*replies, port=http_port):
        if words is None:
            await look(internet(http_port))
            return
        with pytest.raises(RefusedError, match=words):
            await look(internet(http_port))


async def test_ipv4_is_tried_only_after_a_failed_ipv6_connection(http_port: int) -> None:
    both = internet(http_port, "::1", "127.0.0.1")
    async with replying(reply(200, ANSWER), port=http_port):
        assert (await look(both)).dialled == ["::1", "127.0.0.1"]
        async with replying(reply(404), host="::1", port=http_port):
            with pytest.raises(RefusedError, match="404"):
                await look(both)
        async with replying(reply(200, ANSWER), host="::1", port=http_port):
            assert (await look(both)).dialled == ["::1"]


async def test_other_family_is_not_tried_after_a_redirect(http_port: int) -> None:
    seen = internet(http_port, "::1", "127.0.0.1", https_port=(https_port := free_port()))
    first = replying(redirect(f"https://{NAME}/"), host="::1", port=http_port)
    async with first, replying(reply(200, ANSWER), port=https_port):
        with pytest.raises(RefusedError, match="::1: Fetching https"):
            await look(seen)


@pytest.fixture
def settings(folder: Path, http_port: int, https_port: int) -> NginxSettings:
    made = make_server_certificate(folder / "tls", (NAME,))
    http, https = (tuple((host, port) for host in ("127.0.0.1", "::1")) for port in (http_port, https_port))
    return NginxSettings(folder / "public.sock", http, https, (Site((NAME,), made.certificate.parent),))


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("::1", "127.0.0.1")], ids=["IPv4", "both families"])
@pytest.mark.parametrize(
    "in_server",
    ["", "if ($scheme = http) { return 301 https://$host$request_uri; }", "gzip on; gzip_types *; gzip_min_length 1;"],
    ids=["plain", "everything to https", "compressed"],
)
async def test_nginx_and_responder_satisfy_the_ca_from_six_perspectives_at_once(
    folder: Path, settings: NginxSettings, in_server: str, addresses: tuple[str, ...]
) -> None:
    seen = internet(settings.http[0][1], *addresses, https_port=settings.https[0][1])
    async with responding(folder, TOKEN), NginxServer(folder / "nginx", replace(settings, in_server=in_server)):
        await asyncio.gather(*(look(seen, place) for place in PLACES))
        await validate(seen, PLACES, NAME, TOKEN, ANSWER)


@pytest.mark.parametrize(("denied", "is_content"), [([1], True), ([1, 2], False), ([0], False)])
async def test_one_of_five_remote_perspectives_may_fail(
    folder: Path, settings: NginxSettings, denied: list[int], is_content: bool
) -> None:
    conditions = [f"if ($remote_addr = {PLACES[number].address}) {{ return 403; }}" for number in denied]
    nginx = NginxServer(folder / "nginx", replace(settings, in_server=" ".join(conditions)))
    seen = internet(settings.http[0][1])
    async with responding(folder, TOKEN), nginx:
        if is_content:
            await validate(seen, PLACES, NAME, TOKEN, ANSWER)
            return
        with pytest.raises(RefusedError, match="403"):
            await validate(seen, PLACES, NAME, TOKEN, ANSWER)
