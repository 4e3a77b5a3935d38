"""Find the TLS addresses and certificates of every server block of http, stream and mail.

`ssl` and `proxy_protocol` on one `listen` count for every server block at that address, as in nginx. Wildcard addresses
become loopback addresses. Blocks: it resolves symbolic links.
"""

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from wellkeeper_node.model import Listener, Server
from wellkeeper_node.nginx.configuration import Configuration, Directive

CONTEXTS: Final = frozenset({"http", "stream", "mail"})
_LOOPBACK: Final = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nginx listens there, not we
_HTTP_PORT: Final = 80
# A range may have thousands of ports, which differ only if other server blocks name them.
_MOST_PORTS: Final = 16
_IS_DEFAULT: Final = frozenset({"default_server", "default"})

_Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Listen:
    """One address of a `listen` directive; QUIC has a socket of its own there. `is_left_out` of the handshakes."""

    address: _Address
    flags: frozenset[str]
    is_left_out: bool

    @property
    def key(self) -> tuple[_Address, bool]:
        return self.address, "quic" in self.flags


def read_servers(configuration: Configuration) -> tuple[Server, ...]:
    """Return the server blocks in order; those without a certificate too, as they may be the default server."""
    found: list[Server] = []
    for context in configuration.directives:
        if context.name in CONTEXTS:
            found += _servers(context, configuration)
    return tuple(found)


def _servers(context: Directive, configuration: Configuration) -> Iterator[Server]:
    blocks = [one for one in context.block if one.name == "server"]
    # Each block looks up there what it does not have: thousands must not look through one another.
    context = replace(context, block=tuple(one for one in context.block if one.name != "server"))
    listens = [_listens(block, context) for block in blocks]
    together: dict[tuple[_Address, bool], frozenset[str]] = {}
    for one in (listen for several in listens for listen in several):
        together[one.key] = together.get(one.key, frozenset()) | one.flags
    defaults = _defaults(listens)
    here = {host: is_here(_reachable(host)) for host in {one.address[0] for several in listens for one in several}}
    for number, block in enumerate(blocks):
        listeners = [
            Listener(
                (_reachable(one.address[0]), one.address[1]),
                is_default=defaults[one.key] == number,
                is_visible=_is_visible(one, together[one.key], here),
                speaks_proxy_protocol="proxy_protocol" in together[one.key],
            )
            for one in listens[number]
            if together[one.key] & {"ssl", "quic", "starttls"}
        ]
        names = tuple(name for one in _all(block, "server_name") for name in one.arguments)
        yield Server(names, tuple(dict.fromkeys(listeners)), _chain_paths(block, context, configuration))


def _listens(block: Directive, context: Directive) -> Sequence[_Listen]:
    # `ssl on` was removed in nginx 1.25.1; `starttls` is of mail.
    switched = {name for name in ("ssl", "starttls") if _value(block, context, name) in {"on", "only"}}
    return [
        _Listen(address, frozenset(one.arguments[1:]) | switched, is_left_out=number >= _MOST_PORTS)
        for one in _all(block, "listen")
        if one.arguments
        for number, address in enumerate(listen_addresses(one.arguments[0]))
    ]


def _defaults(listens: Sequence[Sequence[_Listen]]) -> Mapping[tuple[_Address, bool], int]:
    """Return the number of the default server of each address: the one that says so, else the first."""
    found: dict[tuple[_Address, bool], int] = {}
    for number, several in enumerate(listens):
        for one in several:
            if one.flags & _IS_DEFAULT:
                found[one.key] = number
            found.setdefault(one.key, number)
    return found


def _is_visible(one: _Listen, flags: frozenset[str], here: Mapping[str, bool]) -> bool:
    return "ssl" in flags and "quic" not in flags and here[one.address[0]] and not one.is_left_out


def _chain_paths(block: Directive, context: Directive, configuration: Configuration) -> frozenset[str]:
    """Return the certificates of the block; its own replace those of the context, as in nginx."""
    found = _all(block, "ssl_certificate") or _all(context, "ssl_certificate")
    arguments = [argument for one in found for argument in one.arguments[:1]]
    return frozenset(
        argument if "$" in argument else configuration.disk.real_path(str(configuration.path(argument)))
        for argument in arguments
    )


def _value(block: Directive, context: Directive, name: str) -> str:
    found = _all(block, name) or _all(context, name)
    return found[-1].arguments[0] if found and found[-1].arguments else ""


def _all(block: Directive, name: str) -> Sequence[Directive]:
    return [one for one in block.block if one.name == name]


def listen_address(argument: str) -> _Address:
    """Return host and port of `listen`: 443, *:443, [::]:443, 10.0.0.1, or unix:PATH. Of a port range, the first."""
    return listen_addresses(argument)[0]


def listen_addresses(argument: str) -> Sequence[_Address]:
    """Return host and port of `listen`, one for each port of a range.

    nginx 1.15.10 and later has ranges (8080-8090) in http, stream and mail; its manual mentions them for stream only.
    """
    if argument.startswith("unix:"):
        return [(argument, 0)]
    host, separator, port = argument.rpartition(":")
    if argument.startswith("["):
        host, _, port = argument[1:].partition("]")
        port = port.removeprefix(":")
    elif not separator:
        host, port = ("*", argument) if argument.partition("-")[0].isdigit() else (argument, "")
    host = "*" if host == "0.0.0.0" else host  # noqa: S104
    first, _, last = port.partition("-")
    if not first.isdigit():
        return [(host, _HTTP_PORT)]
    ports = range(int(first), int(last if last.isdigit() else first) + 1)
    return [(host, one) for one in ports or [int(first)]]


def listens_on(listen: Directive, port: int) -> bool:
    """Return whether the `listen` has the port."""
    return any(one == port for argument in listen.arguments[:1] for _, one in listen_addresses(argument))


def _reachable(host: str) -> str:
    return _LOOPBACK.get(host, host)


def is_here(host: str) -> bool:
    """Return False for an address of another host, such as a virtual one that another host holds now."""
    if host.startswith("unix:"):
        return True
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True
