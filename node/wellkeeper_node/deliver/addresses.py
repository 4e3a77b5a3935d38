"""Choose where a certificate must be served: at each TLS address of the server blocks that name it, for its names.

nginx chooses the server block for a name at an address as in ngx_http_server_names(3): the exact name, the longest
wildcard at the start, the longest at the end, the first regular expression, the default server. A wildcard in the
certificate is verified with the names below it that the server blocks have.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from wellkeeper_node.model import Identifier, IdentifierType, Listener, Server

_Address = tuple[str, int]
# The label that stands for a wildcard, where no server block has a name below it.
_ANY_LABEL: Final = "wellkeeper-check"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
# PCRE writes named groups in three ways, Python in one.
_GROUP: Final = re.compile(r"\(\?<(?=[A-Za-z_])")


@dataclass(frozen=True, slots=True)
class Question:
    """One handshake: `speaks_proxy_protocol` is None where the settings decide."""

    address: _Address
    identifier: Identifier
    speaks_proxy_protocol: bool | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The handshakes for a certificate.

    `is_named`: nginx's configuration or the settings say that it is served here, so a wrong leaf is an error. `hidden`
    says why no handshake can be made, if so. `instead` are asked when no address of `questions` accepts a connection.
    """

    questions: tuple[Question, ...]
    is_named: bool
    hidden: str = ""
    instead: tuple[Question, ...] = ()


def at_configured(
    identifiers: Collection[Identifier], addresses: Sequence[_Address], naming: Sequence[Server] = ()
) -> Plan:
    """Return the handshakes at the addresses that the settings give for this certificate; none: it is hidden.

    The names below a wildcard are those of `naming`, the server blocks that name the certificate.
    """
    if not addresses:
        return Plan((), is_named=True, hidden="nothing on this host serves it (https_addresses = [])")
    return Plan(tuple(_at_all(_names(identifiers, naming), addresses)), is_named=True)


def plan(
    identifiers: Collection[Identifier],
    servers: Sequence[Server],
    is_its_own: Callable[[str], bool],
    usual: Sequence[_Address],
) -> Plan:
    """Return the handshakes at the listeners of the blocks whose certificate `is_its_own`.

    `usual` are the addresses in the settings: asked when no block names the certificate, or none accepts TLS, and in
    place of a loopback address with the same port.
    """
    naming = find_naming(servers, is_its_own)
    identifiers = _names(identifiers, naming or servers)
    listeners = dict.fromkeys(listener for one in naming for listener in one.listeners)
    visible = [one for one in listeners if one.is_visible]
    if listeners and not visible:
        return Plan((), is_named=True, hidden="nginx has loaded it, but no handshake can reach its listeners from here")
    if not visible:
        return Plan(tuple(_at_all(identifiers, usual)), is_named=bool(naming))
    asked = [
        (listener, identifier)
        for listener in visible
        for identifier in sorted(identifiers)
        if _server_for(identifier, listener.address, servers) in naming
    ]
    left = [one for one in sorted(identifiers) if one not in {identifier for _, identifier in asked}]
    asked += [(listener, identifier) for listener in visible for identifier in left]
    questions = dict.fromkeys(question for one in asked for question in _questions(*one, usual))
    return Plan(tuple(questions), is_named=True, instead=tuple(_at_all(identifiers, usual)))


def find_naming(servers: Sequence[Server], is_its_own: Callable[[str], bool]) -> list[Server]:
    """Return the server blocks whose certificate `is_its_own`."""
    return [one for one in servers if any(map(is_its_own, one.chain_paths))]


def everywhere(
    identifiers: Collection[Identifier], servers: Sequence[Server], addresses: Iterable[_Address]
) -> tuple[Question, ...]:
    """Return the handshakes for these names at every listener of nginx that one can reach, and at `addresses`."""
    visible = [listener for one in servers for listener in one.listeners if listener.is_visible]
    places: dict[_Address, bool | None] = dict.fromkeys(addresses)
    places.update((one.address, one.speaks_proxy_protocol) for one in visible)
    names = sorted(_names(identifiers, servers))
    return tuple(Question(place, one, speaks) for place, speaks in places.items() for one in names)


def _names(identifiers: Collection[Identifier], servers: Sequence[Server]) -> frozenset[Identifier]:
    """Return the identifiers with names instead of wildcards, which no client asks for."""
    found = set[Identifier]()
    for one in identifiers:
        found |= _below(one, servers) if one.is_wildcard else {one}
    return frozenset(found)


def _below(wildcard: Identifier, servers: Sequence[Server]) -> set[Identifier]:
    """Return the names below a wildcard for which the server blocks have a name or a wildcard of their own."""
    parent = wildcard.value.removeprefix("*")
    any_name = Identifier(wildcard.type, f"{_ANY_LABEL}{parent}")
    found = set[Identifier]()
    for name in (name.lower() for one in servers for name in one.names):
        named = Identifier(wildcard.type, name)
        if name in {parent, wildcard.value}:
            found.add(any_name)
        elif named.is_covered_by({wildcard}):
            found.add(named)
    return found or {any_name}


def _at_all(identifiers: Collection[Identifier], addresses: Sequence[_Address]) -> Iterator[Question]:
    """Yield one question per identifier and address that must serve it."""
    for address in addresses:
        for one in sorted(identifiers):
            if address in _addresses_of(one, addresses):
                yield Question(address, one)


def _questions(listener: Listener, identifier: Identifier, usual: Sequence[_Address]) -> Iterator[Question]:
    host, port = listener.address
    # nginx in another container has a name, which may have addresses of both families.
    same = [one for one in usual if one[1] == port and (_is_elsewhere(one[0]) or (":" in one[0]) == (":" in host))]
    for address in same if host in _LOOPBACK and same else [listener.address]:
        yield Question(address, identifier, listener.speaks_proxy_protocol)


def _is_elsewhere(host: str) -> bool:
    """Return whether it is the name of another host."""
    try:
        ip_address(host)
    except ValueError:
        return host != "localhost"
    return False


def _addresses_of(identifier: Identifier, addresses: Sequence[_Address]) -> Sequence[_Address]:
    """Return the addresses that must serve its certificate: each may have a default server of its own."""
    if identifier.type is IdentifierType.DNS:
        return addresses
    itself = [one for one in addresses if one[0] == identifier.value]
    of_its_family = [one for one in addresses if (":" in one[0]) == (":" in identifier.value)]
    return itself or of_its_family or addresses


def _server_for(identifier: Identifier, address: _Address, servers: Sequence[Server]) -> Server | None:
    """Return the server block that answers for the identifier there; an IP address gets the default server."""
    here = [one for one in servers if any(listener.address == address for listener in one.listeners)]
    if identifier.type is IdentifierType.DNS:
        ranked = [(rank, one) for one in here for name in one.names if (rank := _rank(name, identifier.value))]
        if ranked:
            # Of equal ranks the first server block wins.
            return max(ranked, key=lambda pair: pair[0])[1]
    return next((one for one in here if _is_default(one, address)), None)


def _is_default(server: Server, address: _Address) -> bool:
    return any(one.address == address and one.is_default for one in server.listeners)


def _rank(pattern: str, name: str) -> tuple[int, int] | None:
    """Return how well a server name matches; greater is better, None is not at all."""
    pattern = pattern if pattern.startswith("~") else pattern.lower()
    if pattern in {name, f".{name}"}:
        return 4, 0
    if pattern.startswith(("*.", ".")) and name.endswith(pattern.removeprefix("*")):
        return 3, len(pattern)
    if pattern.endswith(".*") and name.startswith(pattern[:-1]):
        return 2, len(pattern)
    return (1, 0) if pattern.startswith("~") and _matches(pattern[1:], name) else None


def _matches(expression: str, name: str) -> bool:
    try:
        return re.search(_GROUP.sub("(?P<", expression), name, re.IGNORECASE) is not None
    except re.error:  # PCRE knows more; the default server is asked about then
        return False
