"""A relay that sends without an end costs a node little CPU time, with TLS as well."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tests.node.records.test_relay import KEY, client
from wellkeeper_node.errors import UnavailableError
from wellkeeper_node.records.limited_socket import AT_ONCE, MOST, LimitedSocket


@pytest.fixture(name="ends")
def ends_fixture() -> Iterator[tuple[LimitedSocket, socket.socket]]:
    """Yield one for a node and the relay's end of its connection."""
    own, other = socket.socketpair()
    with LimitedSocket(own.family, own.type, own.proto, own.detach()) as limited, other:
        yield limited, other


def test_little_is_received_at_once(ends: tuple[LimitedSocket, socket.socket]) -> None:
    limited, other = ends
    other.sendall(b"x" * 3 * AT_ONCE)
    assert len(limited.recv(2 * AT_ONCE)) == AT_ONCE
    assert limited.recv_into(bytearray(2 * AT_ONCE)) == AT_ONCE
    assert limited.recv_into(bytearray(10), 5) == 5


@pytest.mark.parametrize("receive", [lambda one: one.recv(AT_ONCE), lambda one: one.recv_into(bytearray(AT_ONCE))])
@pytest.mark.parametrize("send", [lambda one: one.send(b"x"), lambda one: one.sendmsg([b"x"])])
def test_limit_begins_again_with_each_request(
    ends: tuple[LimitedSocket, socket.socket],
    receive: Callable[[LimitedSocket], object],
    send: Callable[[LimitedSocket], object],
) -> None:
    limited, other = ends
    for _ in range(2):
        send(limited)
        for _ in range(MOST // AT_ONCE):
            other.sendall(b"x" * AT_ONCE)
            receive(limited)
    other.sendall(b"x")
    with pytest.raises(ConnectionAbortedError):
        receive(limited)


@contextlib.asynccontextmanager
async def endless(message: bytes) -> AsyncIterator[str]:
    """Yield the address of a server that answers with this without an end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(message)
                await writer.drain()
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("message", [b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n"])
async def test_replies_without_an_end_are_not_read_until_the_time_out(message: bytes) -> None:
    async with endless(message * 1000) as address, client(address, seconds=600) as records:
        with pytest.raises(UnavailableError, match=f"it sent more than {MOST} bytes"):
            await records.get(KEY)
