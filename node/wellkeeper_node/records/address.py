"""Addresses of relays: `unix:PATH`, `HOST:PORT` in a private network, or `https://HOST[:PORT]`.

Plain HTTP to a public address is refused, also when a name turns out to have one.
"""

import re
import socket
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp.abc import ResolveResult

from wellkeeper_client import relay_wire
from wellkeeper_node.records.limited_socket import LimitedSocket
from wellkeeper_node.resolver import DaemonResolver
from wellkeeper_node.sockets import OwnSocketConnector

_HOST_AND_PORT: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?"
)
_IP_ADDRESS: Final = re.compile(r"[0-9.]+|.*:.*")
_FORMS: Final = "unix:PATH, HOST:PORT or https://HOST:PORT"
_ONLY_PRIVATE: Final = "plain HTTP is allowed only to private addresses; use https:// or a VPN"


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """The place where a relay listens: `base` begins its URLs, `socket` is the path of a unix socket, or ""."""

    text: str
    base: str
    socket: str = ""

    @property
    def is_encrypted(self) -> bool:
        return self.base.startswith("https:")

    def connector(self) -> aiohttp.BaseConnector:
        """Return a new connector; must be called in a running loop."""
        if self.socket:
            return OwnSocketConnector(self.socket)
        resolver = DaemonResolver() if self.is_encrypted else PrivateResolver()
        return aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, socket_factory=_socket)


class PrivateResolver(DaemonResolver):
    """Resolves names as usual, and refuses one with a public address."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        for one in found:
            if not relay_wire.is_private(one["host"]):
                raise OSError(0, f"{host} has the public address {one['host']}: {_ONLY_PRIVATE}")
        return found


def _socket(found: aiohttp.AddrInfoType) -> LimitedSocket:
    return LimitedSocket(*found[:3])


def parse(text: str) -> RelayAddress:
    """Raises ValueError with a message for the administrator."""
    if text.startswith("unix:/"):
        return RelayAddress(text, "http://relay", text.removeprefix("unix:"))
    is_encrypted = text.startswith("https://")
    matched = _HOST_AND_PORT.fullmatch(text.removeprefix("https://").removesuffix("/" if is_encrypted else ""))
    if matched is None or int(matched["port"] or 443) > 65535 or not (matched["port"] or is_encrypted):
        raise ValueError(f"{text!r} is not the address of a relay; write {_FORMS}")
    host = matched["v6"] or matched["host"]
    if not is_encrypted and _IP_ADDRESS.fullmatch(host) and not relay_wire.is_private(host):
        raise ValueError(f"{text}: {_ONLY_PRIVATE}")
    return RelayAddress(text, text.removesuffix("/") if is_encrypted else f"http://{text}")
