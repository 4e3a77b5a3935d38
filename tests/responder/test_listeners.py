"""Listening sockets: modes, stale and live sockets, errors that name the remedy."""

import asyncio
import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from wellkeeper_responder.capacity import Capacity
from wellkeeper_responder.connections import ConnectionServer
from wellkeeper_responder.listeners import Listener, ListenError, reason
from wellkeeper_responder.settings import Address, TcpAddress, UnixAddress


def _not_full() -> None:
    raise AssertionError("no connection has to make room here")


async def _answer(_request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="hello")


async def _open(address: Address, mode: int = 0o660) -> Listener:
    return await Listener.open(address, mode, ConnectionServer(_answer, Capacity(8, _not_full, _not_full)))


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=["umask 000", "umask 022", "umask 077"])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
async def test_socket_has_its_mode_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    listener = await _open(UnixAddress(tmp_path / "a.sock"), mode)
    assert stat.S_IMODE((tmp_path / "a.sock").lstat().st_mode) == mode
    await listener.close(0.1)


async def test_closing_removes_the_socket(tmp_path: Path) -> None:
    listener = await _open(UnixAddress(tmp_path / "a.sock"))
    await listener.close(0.1)
    assert not (tmp_path / "a.sock").exists()


async def test_closing_ignores_a_socket_that_is_already_gone(tmp_path: Path) -> None:
    listener = await _open(UnixAddress(tmp_path / "a.sock"))
    (tmp_path / "a.sock").unlink()
    await listener.close(0.1)


async def test_closing_leaves_a_successors_socket_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    listener = await _open(UnixAddress(path))
    path.rename(tmp_path / "aside.sock")
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(str(path))
        await listener.close(0.1)
        assert path.is_socket()


async def test_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listener = await _open(UnixAddress(path))
    _, writer = await asyncio.open_unix_connection(str(path))
    writer.close()
    await listener.close(0.1)


async def test_live_socket_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    first = await _open(UnixAddress(path))
    with pytest.raises(ListenError, match="another process is listening there"):
        await _open(UnixAddress(path))
    _, writer = await asyncio.open_unix_connection(str(path))
    writer.close()
    await first.close(0.1)


async def test_socket_with_a_full_queue_counts_as_live(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))
        with pytest.raises(ListenError, match="another process is listening there"):
            await _open(UnixAddress(path))


@pytest.mark.parametrize("kind", ["file", "directory", "dangling link"])
async def test_path_that_is_not_a_socket_is_refused_and_kept(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.sock"
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ListenError, match="not a socket"):
        await _open(UnixAddress(path))
    assert path.lstat()


async def test_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="/missing does not exist"):
        await _open(UnixAddress(tmp_path / "missing" / "a.sock"))


async def test_port_that_is_taken_is_named() -> None:
    first = await _open(TcpAddress("127.0.0.1", 0))
    with pytest.raises(ListenError, match=f"cannot listen on {first.address}: Address already in use. Choose another"):
        await _open(first.address)
    await first.close(0.1)


async def test_address_of_another_host_is_named() -> None:
    words = r"listen on 192\.0\.2\.1:8080: Cannot assign requested address\. Choose an address of this host\."
    with pytest.raises(ListenError, match=words):
        await _open(TcpAddress("192.0.2.1", 8080))


async def test_host_that_does_not_resolve_is_named() -> None:
    with pytest.raises(ListenError, match=r"cannot listen on nothing\.invalid:80"):
        await _open(TcpAddress("nothing.invalid", 80))


async def test_port_zero_is_replaced_by_the_chosen_port() -> None:
    listener = await _open(TcpAddress("127.0.0.1", 0))
    assert isinstance(listener.address, TcpAddress)
    assert listener.address.port > 0
    await listener.close(0.1)


_MAY_NOT = PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize(
    ("error", "address", "words"),
    [
        (_MAY_NOT, UnixAddress(Path("/run/a.sock")), "write to /run (systemd: RuntimeDirectory="),
        (_MAY_NOT, TcpAddress("127.0.0.1", 80), "Permission denied. Choose a port above 1023"),
        (
            PermissionError(errno.EACCES, "error while attempting to bind"),
            TcpAddress("127.0.0.1", 80),
            "Permission denied. C",
        ),
        (
            OSError("could not bind on any address"),
            TcpAddress("192.0.2.1", 80),
            "Cannot assign requested address. Choose an",
        ),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), UnixAddress(Path("/run/a.sock")), "Cannot allocate memory"),
        (socket.gaierror(-2, "Name unknown"), TcpAddress("nowhere", 80), "Name unknown. Use an IP address"),
        (
            OSError(errno.EROFS, "Read-only file system"),
            UnixAddress(Path("/run/a.sock")),
            "Mount a volume at /run, or a",
        ),
    ],
    ids=["directory", "port", "asyncio's words", "Python 3.13", "any other", "name", "read-only"],
)
def test_unusable_address_is_reported_with_the_remedy(error: OSError, address: Address, words: str) -> None:
    """Check the messages alone: root may use every address, and name resolution depends on the network."""
    assert words in reason(error, address)


@pytest.mark.parametrize("mode", [0o777, 0o775])
async def test_directory_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ListenError, match=f"may write to {folder} .mode 0{mode:o}.. Run 'chmod go-w {folder}'"):
        await _open(UnixAddress(folder / "a.sock"))
    assert not (folder / "a.sock").exists()
    folder.chmod(0o1777)
    await (await _open(UnixAddress(folder / "a.sock"), 0o666)).close(0.1)
