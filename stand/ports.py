"""Free ports on the loopback, outside the range from which the system takes the ports of outgoing connections.

A port from `bind(0)` lies in that range: under load, some client's connection takes it before the server does.
"""

import errno
import secrets
import socket
from pathlib import Path
from typing import Final

_LOWEST: Final = 10_000
_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
# A machine without IPv6: nothing can be taken there.
_NO_IPV6: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
_handed_out: Final[set[int]] = set()


def free_port() -> int:
    """Free on every address of both families right now; never the same twice in one process."""
    while True:
        port = _candidate()
        if port not in _handed_out and _is_free(port):
            _handed_out.add(port)
            return port


def _candidate() -> int:
    first_outgoing = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 49_152
    if first_outgoing - _LOWEST >= 1000:
        return _LOWEST + secrets.randbelow(first_outgoing - _LOWEST)
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
