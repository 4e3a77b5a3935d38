"""List the IP addresses of this host, as the kernel knows them, and say why a program cannot listen on one."""

import errno
import os
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc/net")


def own_addresses(proc: Path = _PROC) -> frozenset[str]:
    """Return the addresses of all interfaces, IPv6 compressed; what the kernel does not show is left out."""
    return frozenset([*_ipv4(_lines(proc / "fib_trie")), *_ipv6(_lines(proc / "if_inet6"))])


def why_not_bound(error: OSError) -> str:
    """Return the system's words for the fault of asyncio's `create_server`, whose own repeat the address.

    From Python 3.13 on, it gives no number if none of the addresses is one of this host.
    """
    return os.strerror(errno.EADDRNOTAVAIL if error.errno is None else error.errno)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _ipv4(lines: list[str]) -> Iterator[str]:
    """Yield the addresses of the routing table's leaves `|-- ADDRESS` that a line `/32 host LOCAL` follows."""
    leaf = ""
    for line in lines:
        words = line.split()
        if words[:1] == ["|--"]:
            leaf = words[1]
        elif words == ["/32", "host", "LOCAL"]:
            yield leaf


def _ipv6(lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield str(IPv6Address(bytes.fromhex(line.split()[0])))
