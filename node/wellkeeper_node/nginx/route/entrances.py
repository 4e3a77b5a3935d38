"""Find the server block that answers at an address for a name, as nginx does.

A `listen` with an address hides the wildcard of its family for that address. The flags on one `listen` count for all
blocks at the address.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_address
from typing import Final

from wellkeeper_node.nginx.configuration import Configuration, Directive
from wellkeeper_node.nginx.route.locations import Decide
from wellkeeper_node.nginx.servers import listen_addresses
from wellkeeper_node.nginx.sites import (
    DEFAULT_FLAGS,
    Ports,
    Site,
    matching,
    only_by_expression,
    sites,
    spelled,
    undecided,
)

WILDCARDS: Final[Mapping[int, str]] = {4: "*", 6: "::"}
_PATTERNS: Final = ("~", "*.", ".")


@dataclass(frozen=True, slots=True)
class Listen:
    """One `listen` of a server block; `directive` is None for nginx's default, `listen 80`."""

    site: Site
    directive: Directive | None
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Entrance:
    """An address of nginx, and the server blocks that listen there."""

    host: str
    port: int
    listens: Sequence[Listen]

    @property
    def family(self) -> int:
        return 6 if ":" in self.host else 4

    @property
    def is_loopback(self) -> bool:
        return self.host == "::1" or self.host.startswith("127.")

    def flagged(self, flag: str) -> Directive | None:
        """Return the first `listen` with the flag, which counts for all blocks here, if any."""
        return self._by_flag.get(flag)

    @cached_property
    def _by_flag(self) -> Mapping[str, Directive | None]:
        return {flag: one.directive for one in reversed(self.listens) for flag in one.flags}

    @cached_property
    def default(self) -> Site:
        """The default server: the block that says so, else the first."""
        return next((one.site for one in self.listens if one.flags & DEFAULT_FLAGS), self.listens[0].site)

    def named(self, host: str, decide: Decide) -> Site | None:
        """Return the block whose server_name matches the host best; of equal ones, nginx uses the first.

        Regular expressions match worst, those that Python does not know included.
        """
        exact = self._by_name.get(host)
        found = exact or next(iter(matching(self._with_patterns, host)), None)
        if not self._undecided or (found and not only_by_expression(found, host)):
            return found
        candidates = (one for one in self._with_patterns if one is found or any(map(decide, undecided(one))))
        return next(candidates, None)

    @cached_property
    def _undecided(self) -> bool:
        return any(map(undecided, self._with_patterns))

    @cached_property
    def _by_name(self) -> Mapping[str, Site]:
        found = dict[str, Site]()
        for one in self.listens:
            for name in one.site.names:
                found.setdefault(spelled(name).lower().removeprefix("."), one.site)
        return found

    @cached_property
    def _with_patterns(self) -> Sequence[Site]:
        return [one.site for one in self.listens if any(map(_is_pattern, one.site.names))]


@dataclass(frozen=True)
class Entrances:
    """All addresses at which nginx accepts HTTP."""

    configuration: Configuration
    ports: Ports = field(default_factory=Ports)

    @cached_property
    def sites(self) -> Sequence[Site]:
        """All server blocks of http."""
        return sites(self.configuration, self.ports)

    @cached_property
    def by_name(self) -> Mapping[str, Sequence[Site]]:
        """All server blocks by each of their words in server_name."""
        found = defaultdict[str, list[Site]](list)
        for site in self.sites:
            for name in site.names:
                found[spelled(name)].append(site)
        return found

    @cached_property
    def all(self) -> Sequence[Entrance]:
        """Return the addresses in the order in which they are first named."""
        found = defaultdict[tuple[str, int], list[Listen]](list)
        for site in self.sites:
            for address, one in _listens(site):
                found[address].append(one)
        for (host, port), several in list(found.items()):
            # Such a socket also accepts IPv4, unless another one does.
            if host == "::" and any("ipv6only=off" in one.flags for one in several) and ("*", port) not in found:
                found["*", port] = several
        return [Entrance(host, port, several) for (host, port), several in found.items()]

    def on(self, port: int, family: int) -> Sequence[Entrance]:
        """Return the addresses that clients of the family can reach; those of the loopback only without others."""
        found = [one for one in self.all if (one.port, one.family) == (port, family)]
        return [one for one in found if not one.is_loopback] or found

    def at(self, host: str, port: int) -> Entrance | None:
        """Return the address that accepts connections to the host; None if nothing listens there."""
        by_host = {one.host: one for one in self.all if one.port == port}
        return by_host.get(host) or by_host.get(WILDCARDS[6 if ":" in host else 4])


def _listens(site: Site) -> Iterator[tuple[tuple[str, int], Listen]]:
    found = [one for one in site.all("listen") if one.arguments and not one.arguments[0].startswith("unix:")]
    for one in found:
        flags = frozenset(one.arguments[1:])
        if "quic" not in flags:
            for host, port in listen_addresses(one.arguments[0]):
                yield (_normal(host), port), Listen(site, one, flags)
    if not site.all("listen"):
        yield ("*", 80), Listen(site, None)


def _normal(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ip_address(host))
    except ValueError:
        return host


def _is_pattern(name: str) -> bool:
    return name.startswith(_PATTERNS) or name.endswith(".*")
