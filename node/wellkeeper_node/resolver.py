"""Resolve host names on threads that never delay the program's exit.

The system's own resolver (`getaddrinfo`) honours /etc/hosts and nsswitch.conf, cannot be interrupted, and takes up to
half a minute when DNS does not answer. The executor of the event loop would make the exit wait for it.

Nothing is remembered: a container that was created again has another address under the same name.
"""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, TypeVar

from aiohttp.abc import AbstractResolver, ResolveResult

# As `socket.getaddrinfo` returns it.
Found = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]]
_T = TypeVar("_T")
GetAddrInfo = Callable[[str, int, socket.AddressFamily], Found]


def _getaddrinfo(host: str, port: int, family: socket.AddressFamily) -> Found:
    return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)


class DaemonResolver(AbstractResolver):
    """Looks each name up on a daemon thread of its own; a cancelled look-up ends there by itself.

    Without `limit_seconds`, a look-up takes as long as the system lets it.
    """

    def __init__(self, getaddrinfo: GetAddrInfo = _getaddrinfo, *, limit_seconds: float | None = None) -> None:
        self._getaddrinfo = getaddrinfo
        self._limit_seconds = limit_seconds

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses. Raises OSError."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Found] = loop.create_future()

        def look_up() -> None:
            report: Callable[[], None]
            try:
                found = self._getaddrinfo(host, port, family)
            except (OSError, UnicodeError) as error:
                report = _raising(answer, error if isinstance(error, OSError) else OSError(None, str(error)))
            else:
                report = _returning(answer, found)
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(report)

        threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
        try:
            async with asyncio.timeout(self._limit_seconds):
                return [_result(host, *one) for one in await answer]
        except TimeoutError as error:
            why = f"the name server did not answer within {self._limit_seconds:g} s"
            raise socket.gaierror(socket.EAI_AGAIN, why) from error

    async def close(self) -> None:
        """Leave look-ups to end by themselves."""


async def connected(host: str, connect: Callable[[str], Awaitable[_T]], resolver: AbstractResolver | None = None) -> _T:
    """Return the connection to the first address of the host that accepts one. Raises OSError.

    `host` is an IP address or a name.
    """
    found = [host]
    if _is_name(host):
        found = [one["host"] for one in await (resolver or DaemonResolver()).resolve(host)]
    for one in found[:-1]:
        with suppress(OSError):
            return await connect(one)
    return await connect(found[-1])


def _is_name(host: str) -> bool:
    """Return False for an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return True
    return False


def _raising(answer: "asyncio.Future[Found]", error: OSError) -> Callable[[], None]:
    return lambda: None if answer.done() else answer.set_exception(error)


def _returning(answer: "asyncio.Future[Found]", found: Found) -> Callable[[], None]:
    return lambda: None if answer.done() else answer.set_result(found)


def _result(
    host: str, family: socket.AddressFamily, _: socket.SocketKind, protocol: int, __: str, address: tuple[Any, ...]
) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address[0],
        port=address[1],
        family=family,
        proto=protocol,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
