"""Find free ports on the loopback, outside the range that the system uses for outgoing connections.

A port from `bind(0)` is in that range, where under load another connection may use it before the server does.
"""

import atexit
import errno
import secrets
import socket
from pathlib import Path
from typing import Final

_LOWEST: Final = 10_000
_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
# On a machine without IPv6, no port can be in use there.
_NO_IPV6: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
# The number of ports that a process reserves at a time, since two processes might find the same port free.
_BLOCK: Final = 200
_left: Final[list[int]] = []


def free_port() -> int:
    """Return a port that is free on all addresses of both families; never the same twice, nor for two processes."""
    while True:
        if not _left:
            _take_block()
        port = _left.pop()
        if _is_free(port):
            return port


def _take_block() -> None:
    """Reserve a block of ports by binding its first one until this process ends."""
    first_outgoing = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 49_152
    count = (first_outgoing - _LOWEST) // _BLOCK
    if count < 5:
        _left.append(_outgoing_port())
        return
    while True:
        first = _LOWEST + _BLOCK * secrets.randbelow(count)
        guard = socket.socket()
        try:
            guard.bind(("127.0.0.1", first))
        except OSError:
            guard.close()
        else:
            atexit.register(guard.close)
            _left.extend(range(first + _BLOCK - 1, first, -1))
            return


def _outgoing_port() -> int:
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return int(any_port.getsockname()[1])


def _is_free(port: int) -> bool:
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    return all(
        _can_bind(family, kind, address, port)
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104 - never listening
        for kind in kinds
    )


def _can_bind(family: socket.AddressFamily, kind: socket.SocketKind, address: str, port: int) -> bool:
    try:
        with socket.socket(family, kind) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address, port))
    except OSError as error:
        return family == socket.AF_INET6 and error.errno in _NO_IPV6
    return True
