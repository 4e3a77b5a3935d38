"""Counts of the load generator, on which the demo's figures are based."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stand.certificates import make_server_certificate
from stand.load import Counts, Load, Target, unverified_tls
from stand.nginx import NginxServer, NginxSettings, Site
from stand.processes import StandError

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

NAME = "www.example.org"


class Server:
    """A server that closes each connection after some requests, at once or when the next one arrives."""

    def __init__(self, requests_per_connection: int, reply: bytes, *, closes_at_once: bool = False) -> None:
        self._requests_per_connection = requests_per_connection
        self._closes_at_once = closes_at_once
        self._reply = reply
        self.reply_count = 0
        self._tasks: set[asyncio.Task[None] | None] = set()

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[None]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", port):
            yield
        await asyncio.gather(*filter(None, self._tasks))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        for _ in range(self._requests_per_connection):
            if not await reader.read(1000):
                break
            writer.write(self._reply)
            self.reply_count += 1
        if not self._closes_at_once:
            await reader.read(1000)
        writer.close()


async def counted(server: Server, port: int) -> Counts:
    load = Load([Target("127.0.0.1", port, NAME)], clients_per_target=2, pause_seconds=0)
    async with server.listening(port), load.running():
        await load.reach(50)
    return load.counts


async def test_kept_connection_closed_before_a_reply_is_retried_once(http_port: int) -> None:
    server = Server(3, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    counts = await counted(server, http_port)
    assert (counts.failed, counts.reasons) == (0, [])
    assert counts.served == server.reply_count
    assert counts.retried > 5


async def test_connection_with_an_announced_close_is_not_reused(http_port: int) -> None:
    server = Server(1, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    counts = await counted(server, http_port)
    assert (counts.failed, counts.retried) == (0, 0)
    assert counts.served == server.reply_count


async def test_new_connection_closed_before_a_reply_is_a_failure(http_port: int) -> None:
    counts = await counted(Server(0, b""), http_port)
    assert (counts.served, counts.retried) == (0, 0)
    assert counts.failed >= 50
    assert len(counts.reasons) == 5


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno", "status 502"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort", "the reply broke off"),
    ],
)
async def test_bad_reply_is_a_failure_and_never_retried(http_port: int, reply: bytes, reason: str) -> None:
    counts = await counted(Server(1, reply, closes_at_once=True), http_port)
    assert (counts.served, counts.retried) == (0, 0)
    assert reason in counts.reasons[0]


async def test_reloads_of_nginx_fail_no_request(folder: Path, http_port: int, https_port: int) -> None:
    make_server_certificate(folder / "live", (NAME,))
    settings = NginxSettings(
        folder / "public.sock",
        http=(("127.0.0.1", http_port),),
        https=(("127.0.0.1", https_port),),
        sites=(Site((NAME,), folder / "live"),),
    )
    targets = [
        Target("127.0.0.1", http_port, NAME),
        Target("127.0.0.1", https_port, NAME, unverified_tls()),
    ]
    load = Load(targets)
    async with NginxServer(folder / "nginx", settings) as nginx, load.running():
        for reload in range(1, 4):
            nginx.reload()
            await load.reach(300 * reload)
    assert (load.counts.failed, load.counts.reasons) == (0, [])
    assert load.counts.retried > 0


async def fail_under(load: Load) -> None:
    async with load.running():
        await load.reach(10)
        raise StandError("a step failed")


async def test_failure_under_load_is_raised_as_it_is(http_port: int) -> None:
    server = Server(1000, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    load = Load([Target("127.0.0.1", http_port, NAME)], clients_per_target=2, pause_seconds=0)
    async with server.listening(http_port):
        with pytest.raises(StandError, match="a step failed"):
            await fail_under(load)
