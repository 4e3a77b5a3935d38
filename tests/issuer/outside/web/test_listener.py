"""The places where the status endpoint listens, and who may ask there."""

import asyncio
import grp
import os
import select
import socket
import stat
from pathlib import Path

import pytest

from stand.ports import free_port
from tests.issuer.outside.web.test_site import get, page
from wellkeeper_issuer.errors import DaemonError
from wellkeeper_issuer.outside.web.listener import MOST_CONNECTIONS, listening
from wellkeeper_issuer.outside.web.site import Page, Query, Site
from wellkeeper_responder.settings import UnixAddress

SITE = Site({"/page": page}, ["localhost"])


async def until_hung_up(client: socket.socket) -> None:
    """Wait for the end of the connection without reading from it."""
    watch = select.poll()
    watch.register(client, select.POLLHUP)
    assert await asyncio.to_thread(watch.poll, 20_000)


async def read_to_the_end(client: socket.socket) -> bytes:
    loop, received = asyncio.get_running_loop(), b""
    while part := await loop.sock_recv(client, 1 << 16):
        received += part
    return received


async def test_socket_is_for_our_user_or_for_a_group_and_goes_away_in_the_end(folder: Path) -> None:
    path, group = folder / "status.sock", grp.getgrgid(os.getgid()).gr_name
    for name, mode in ((None, 0o600), (group, 0o660)):
        async with listening(SITE, path, name):
            assert stat.S_IMODE(path.stat().st_mode) == mode
            assert path.stat().st_gid == os.getgid()
        assert not path.exists()


async def test_socket_of_a_killed_daemon_is_replaced(folder: Path) -> None:
    path = folder / "status.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with listening(SITE, path):
        assert (await get(UnixAddress(path))).status == 200


async def test_tcp_address_is_served(folder: Path) -> None:
    port = free_port()
    async with listening(SITE, ("127.0.0.1", port)):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"hello\n")
        writer.close()
        with pytest.raises(DaemonError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
            async with listening(SITE, ("127.0.0.1", port)):
                raise AssertionError(folder)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("192.0.2.1", "Cannot assign requested address"),
        ("nothing.invalid", "[A-Z]"),
        ("a..b", "the host is not a valid name"),
    ],
)
async def test_tcp_address_that_this_host_lacks_is_refused(host: str, why: str) -> None:
    with pytest.raises(DaemonError, match=rf"cannot listen on {host}:8080: {why}"):
        async with listening(SITE, (host, 8080)):
            raise AssertionError(host)


async def test_more_connections_than_are_allowed_are_closed_at_once(folder: Path) -> None:
    path = folder / "status.sock"
    async with listening(SITE, path):
        held = [await asyncio.open_unix_connection(path) for _ in range(MOST_CONNECTIONS)]
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == b""
        for _, one in [*held, (reader, writer)]:
            one.close()


@pytest.mark.parametrize(
    ("sent", "is_answered"),
    [
        pytest.param(b"", False, id="silent"),
        pytest.param(b"GET /page HTTP/1.1\r\nHost: lo", False, id="half a header"),
        pytest.param(b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n", True, id="does not read the reply"),
    ],
)
async def test_client_that_takes_too_long_keeps_no_other_out(folder: Path, sent: bytes, *, is_answered: bool) -> None:
    async def long(_query: Query) -> Page:
        return Page("x" * 8_000_000)

    path = folder / "status.sock"
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        async with listening(Site({"/long": long}, ["localhost"]), path, request_seconds=0.2), asyncio.timeout(20):
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, str(path))
            await loop.sock_sendall(client, sent)
            if is_answered:
                await until_hung_up(client)
            received = await read_to_the_end(client)
    assert (0 < len(received) < 8_000_000) is is_answered


async def test_connection_ends_with_the_reply(folder: Path) -> None:
    path = folder / "status.sock"
    async with listening(SITE, path), asyncio.timeout(20):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await reader.read()).endswith(b"hello\n")
        writer.close()


@pytest.mark.parametrize("kind", ["file", "listener", "no directory", "directory of all", "no group"])
async def test_address_that_cannot_be_used_is_reported(folder: Path, kind: str) -> None:
    path = folder / "status.sock"
    if kind == "no directory":
        path = folder / "none/status.sock"
    if kind == "file":
        path.touch()
    if kind == "directory of all":
        (folder / "open").mkdir()
        (folder / "open").chmod(0o777)
        path = folder / "open/status.sock"
    words = {
        "file": "is not a socket",
        "listener": "another process is listening",
        "no directory": "No such file",
        "directory of all": "every user may write",
        "no group": "this host has no such group",
    }
    with socket.socket(socket.AF_UNIX) as other:
        if kind == "listener":
            other.bind(str(path))
            other.listen()
        with pytest.raises(DaemonError, match=words[kind]):
            async with listening(SITE, path, "no-such-group" if kind == "no group" else None):
                raise AssertionError(kind)
