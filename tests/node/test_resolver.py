"""Host names are resolved on threads that nothing waits for."""

import asyncio
import socket
import threading

import pytest

from tests.node.names import Names
from wellkeeper_node.resolver import DaemonResolver, Found, connected


def found_here(host: str, port: int, family: socket.AddressFamily) -> Found:
    """Return all addresses, also those of a family that this machine has on the loopback only."""
    return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)


async def test_addresses_of_a_name_are_found() -> None:
    found = await DaemonResolver(found_here).resolve("localhost", 443)
    assert ("127.0.0.1", 443, "localhost") in {(one["host"], one["port"], one["hostname"]) for one in found}


@pytest.mark.parametrize("host", ["no-such-name.invalid", "a" * 64 + ".example"])
async def test_name_without_an_address_is_an_os_error(host: str) -> None:
    with pytest.raises(OSError, match=r"\S"):
        await DaemonResolver().resolve(host)


async def test_cancelled_look_up_ends_at_once_while_its_thread_hangs() -> None:
    loop, asked, answered = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def hang(_: str, __: int, ___: socket.AddressFamily) -> Found:
        loop.call_soon_threadsafe(asked.set)
        answered.wait()
        return []

    looking = asyncio.create_task(DaemonResolver(hang).resolve("ca.example"))
    await asked.wait()
    (thread,) = [one for one in threading.enumerate() if one.name == "resolve ca.example"]
    assert thread.daemon
    looking.cancel()
    done, _ = await asyncio.wait([looking], timeout=60)
    assert looking.cancelled()
    answered.set()
    await asyncio.to_thread(thread.join)
    assert done == {looking}


async def test_first_address_that_accepts_is_connected_to() -> None:
    asked: list[str] = []

    async def connect(host: str) -> str:
        asked.append(host)
        if host == "10.0.0.1":
            raise ConnectionRefusedError
        return host

    names = Names(two=["10.0.0.1", "10.0.0.2", "10.0.0.3"], none=["10.0.0.1"])
    assert await connected("two", connect, names) == "10.0.0.2"
    assert await connected("10.0.0.9", connect, names) == "10.0.0.9"
    assert await connected("localhost", connect, DaemonResolver(found_here)) in {"127.0.0.1", "::1"}
    with pytest.raises(ConnectionRefusedError):
        await connected("none", connect, names)
    assert asked[:3] == ["10.0.0.1", "10.0.0.2", "10.0.0.9"]


async def test_name_server_that_does_not_answer_in_time_is_named() -> None:
    answered = threading.Event()

    def hang(_: str, __: int, ___: socket.AddressFamily) -> Found:
        answered.wait()
        return []

    with pytest.raises(socket.gaierror, match=r"the name server did not answer within 0\.01 s"):
        await DaemonResolver(hang, limit_seconds=0.01).resolve("nginx")
    answered.set()
