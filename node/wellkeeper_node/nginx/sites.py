"""Find the http server blocks: their names, how they listen, and whether they answer challenges.

Includes are expanded, so that it does not matter which file a directive is in.
"""

import re
import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from wellkeeper_client import wire
from wellkeeper_node.nginx.configuration import Configuration, Directive
from wellkeeper_node.nginx.patterns import compiled
from wellkeeper_node.nginx.servers import listen_addresses, listens_on

UPSTREAM: Final = "wellkeeper_responder"
DEFAULT_FLAGS: Final = frozenset({"default_server", "default"})
_WILDCARD: Final = "http-01 cannot prove a wildcard"
_BY_EXPRESSION: Final = (1, 0)
_HTTP_PORT: Final = 80
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports on which nginx gets what clients send to ports 80 and 443."""

    http: int = 80
    https: int = 443


@dataclass(frozen=True, slots=True)
class Site:
    """One server block of http; `is_http` and `is_https` say whether it listens on these ports.

    `is_default`: on port 80, it says that it is the default server. `ordinal` counts the blocks that begin on the same
    line.
    """

    block: Directive
    names: tuple[str, ...]
    is_http: bool
    is_https: bool
    is_default: bool = False
    ordinal: int = 0

    @property
    def place(self) -> str:
        return f"{self.block.file}:{self.block.line}"

    @property
    def has_no_names(self) -> bool:
        """Return whether it can only answer as the default server."""
        return set(self.names) <= {"_", ""}

    @property
    def chains(self) -> Sequence[str]:
        """Return the values of ssl_certificate."""
        return [one.arguments[0] for one in self.all("ssl_certificate") if one.arguments]

    def all(self, name: str) -> Sequence[Directive]:
        """Return the directives of this name, not those inside locations."""
        return [one for one in self.block.block if one.name == name]

    def answers_challenges(self) -> bool:
        """Return whether the block includes challenge.conf."""
        return bool(self.challenge_locations())

    def challenge_locations(self) -> Sequence[Directive]:
        """Return the location of challenge.conf, or one for the same path that asks the responder."""
        found = (one for one in self.all("location") if wire.CHALLENGE_PREFIX in one.arguments)
        return [one for one in found if asks_responder(one)]


@dataclass(frozen=True, slots=True)
class ServedName:
    """A name in nginx's configuration with its place; `reason` says why it cannot be chosen, "" if it can."""

    name: str
    place: str
    reason: str = ""


def sites(configuration: Configuration, ports: Ports) -> tuple[Site, ...]:
    """Return the http server blocks, in order."""
    blocks = [one for http in _http(configuration) for one in http.block if one.name == "server"]
    counts = Counter[tuple[str, int]]()
    found = []
    for block in blocks:
        place = (block.file, block.line)
        found.append(replace(_site(block, ports), ordinal=counts[place]))
        counts[place] += 1
    return tuple(found)


def matching(found: Sequence[Site], name: str) -> tuple[Site, ...]:
    """Return the blocks that nginx chooses for the name by server_name: those that match best."""
    ranks = [max((_rank(word, name) for word in site.names), default=(0, 0)) for site in found]
    best = max(ranks, default=(0, 0))
    return tuple(site for site, rank in zip(found, ranks, strict=True) if rank == best and best > (0, 0))


def only_by_expression(site: Site, name: str) -> bool:
    """Return whether only a regular expression of the block matches the name; any other word precedes those."""
    return max(_rank(word, name) for word in site.names) == _BY_EXPRESSION


def undecided(site: Site) -> Sequence[Directive]:
    """Return the server_name directives with a regular expression that Python does not know."""
    return [one for one in site.all("server_name") if any(map(_is_unknown, one.arguments))]


def defaults(found: Sequence[Site]) -> tuple[Site, ...]:
    """Return the blocks that answer for all other names: the default servers, or those without names."""
    return tuple(site for site in found if site.is_default) or tuple(site for site in found if site.has_no_names)


def has_ipv6_default(configuration: Configuration, port: int) -> bool:
    """Return whether a block is the default server of all IPv6 addresses on the port."""
    listens = (one for one in configuration.walk() if one.name == "listen" and DEFAULT_FLAGS & set(one.arguments[1:]))
    return any(("::", port) in listen_addresses(one.arguments[0]) for one in listens)


def has_upstream(configuration: Configuration) -> bool:
    """Return whether an upstream for the responder is there."""
    upstreams = (one for http in _http(configuration) for one in http.block if one.name == "upstream")
    return any(UPSTREAM in one.arguments for one in upstreams)


def served_names(found: Iterable[Site]) -> tuple[ServedName, ...]:
    """Return each name once, with the first block that has it."""
    names = dict[str, ServedName]()
    for site in found:
        if site.is_http or site.is_https:
            for name in site.names:
                for plain, reason in _classified(name):
                    names.setdefault(plain, ServedName(plain, site.place, reason))
    return tuple(names.values())


def grouped(found: Sequence[Site]) -> tuple[tuple[str, ...], ...]:
    """Return the names that can be chosen, together when they share a server block with TLS, or else one without.

    A name that only redirects to one of those joins it.
    """
    groups = list[dict[str, None]]()
    for site in sorted(found, key=lambda one: not one.is_https):
        if not (site.is_http or site.is_https):
            continue
        usable = [plain for name in site.names for plain, reason in _classified(name) if not reason]
        fresh = [name for name in usable if not any(name in group for group in groups)]
        joined = [group for group in groups if any(name in group for name in usable)]
        if len(joined) == 1:
            joined[0].update(dict.fromkeys(fresh))
        elif fresh:
            groups.append(dict.fromkeys(fresh))
    return tuple(tuple(group) for group in groups)


def _classified(name: str) -> Iterable[tuple[str, str]]:
    """Yield the names that a word of server_name stands for, with the reason that excludes each."""
    lower = name.lower()
    if lower.startswith("~"):
        yield name, "a regular expression stands for many names; give those you want with --certificate"
    elif lower.startswith("."):
        yield from _classified(lower[1:])
        yield f"*{lower}", _WILDCARD
    elif "*" in lower:
        yield lower, _WILDCARD
    elif _is_address(lower):
        yield lower, "an IP address needs a CA and a profile for it; give it with --certificate"
    elif _NAME.fullmatch(lower) is not None:
        yield lower, ""


def _rank(word: str, name: str) -> tuple[int, int]:
    """Return how well the word of server_name matches, in nginx's order: (0, 0) for not at all."""
    if word.startswith("~"):
        return _BY_EXPRESSION if _fits(word[1:], name) else (0, 0)
    word = spelled(word).lower()
    if name in {word, word.removeprefix(".")}:
        return 4, 0
    if word.startswith(("*.", ".")) and name.endswith(word.removeprefix("*")):
        return 3, len(word.removeprefix("*"))
    if word.endswith(".*") and name.startswith(word.removesuffix("*")):
        return 2, len(word)
    return 0, 0


def spelled(word: str) -> str:
    """Return the word of server_name with the name of this host instead of `$hostname`, which nginx allows alone."""
    return socket.gethostname().lower() if word == "$hostname" else word


def _fits(pattern: str, name: str) -> bool:
    found = _expression(pattern)
    return found is not None and found.search(name) is not None


def _is_unknown(word: str) -> bool:
    return word.startswith("~") and _expression(word[1:]) is None


def _expression(pattern: str) -> re.Pattern[str] | None:
    # nginx ignores case where the pattern has a capital letter.
    return compiled(pattern, ignores_case=pattern != pattern.lower())


def _site(block: Directive, ports: Ports) -> Site:
    listens = [one for one in block.block if one.name == "listen" and one.arguments]
    on_http = [one for one in listens if listens_on(one, ports.http)]
    names = tuple(name for one in block.block if one.name == "server_name" for name in one.arguments)
    return Site(
        block,
        names,
        # Without `listen`, nginx as root listens on port 80.
        bool(on_http) if listens else ports.http == _HTTP_PORT,
        any(listens_on(one, ports.https) for one in listens),
        any(DEFAULT_FLAGS & set(one.arguments[1:]) for one in on_http),
    )


def asks_responder(location: Directive) -> bool:
    """Return whether the location passes requests to the responder."""
    return any(one.name == "proxy_pass" and UPSTREAM in one.arguments[0] for one in location.walk() if one.arguments)


def _http(configuration: Configuration) -> Sequence[Directive]:
    return [one for one in configuration.directives if one.name == "http"]


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
