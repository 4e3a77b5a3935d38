"""Find the routes of a name's challenges through nginx, redirects included, as the CA follows them (va/http.go).

A condition that cannot be predicted counts as false. When the opposite would change the result, the route is UNKNOWN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final
from urllib.parse import urljoin, urlsplit

from wellkeeper_node.model import Identifier, IdentifierType
from wellkeeper_node.nginx.configuration import Configuration, Directive
from wellkeeper_node.nginx.route.content import Upstreams
from wellkeeper_node.nginx.route.ending import Ending, Outcome, inherited, value
from wellkeeper_node.nginx.route.entrances import Entrance, Entrances
from wellkeeper_node.nginx.route.request import CHALLENGE, Request, host_of
from wellkeeper_node.nginx.route.walk import Walk, plain_request_ending
from wellkeeper_node.nginx.sites import Ports, Site, spelled

_MAX_REDIRECTS: Final = 10
_NOT_FOLLOWED: Final = 303
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Route:
    """The way of one request to its end; `redirects` are the routes to the redirects before it, the first one first.

    `site` is the server block that answers; `is_named` says whether it has the name, or else is the default server.
    `rewritten_by` is a `rewrite` that changed the path.
    """

    url: str
    host: str
    port: int
    ending: Ending
    site: Site | None = None
    is_named: bool = False
    rewritten_by: Directive | None = None
    redirects: tuple["Route", ...] = ()

    @property
    def outcome(self) -> Outcome:
        return self.ending.outcome

    @property
    def is_good(self) -> bool:
        """Return whether the CA reads the token."""
        return self.outcome is Outcome.ANSWERED

    @property
    def first(self) -> "Route":
        """Return the route on port 80."""
        return self.redirects[0] if self.redirects else self


@dataclass
class _Decisions:
    """Answers for what cannot be predicted: false, except for `flipped`."""

    flipped: Directive | None = None
    asked: list[Directive] = field(default_factory=list)

    def decide(self, directive: Directive) -> bool:
        if directive not in self.asked:
            self.asked.append(directive)
        return directive is self.flipped


@dataclass(frozen=True)
class Router:
    """All routes of a configuration. `speaks_proxy_protocol`: a proxy in front of it greets so on port 80."""

    configuration: Configuration
    ports: Ports = field(default_factory=Ports)
    speaks_proxy_protocol: bool | None = None

    @cached_property
    def entrances(self) -> Entrances:
        return Entrances(self.configuration, self.ports)

    def routes(self, identifier: Identifier, family: int) -> Sequence[Route]:
        """Return one route per address at which connections of the family may come in; empty if nothing listens."""
        if identifier.type is IdentifierType.IP:
            entrance = self.entrances.at(identifier.value, self.ports.http)
            return [self.route(identifier, entrance.host)] if entrance else []
        return [self.route(identifier, one.host) for one in self.entrances.on(self.ports.http, family)]

    def route(self, identifier: Identifier, host: str) -> Route:
        """Return the route of a request that comes to the address."""
        decisions = _Decisions()
        found = self._follow(identifier, host, decisions)
        for one in decisions.asked:
            other = self._follow(identifier, host, _Decisions(one))
            if other.is_good != found.is_good:
                return _unknown(found, one)
        return found

    def _follow(self, identifier: Identifier, address: str, decisions: _Decisions) -> Route:
        url, redirects = f"http://{host_of(identifier.value)}{CHALLENGE}", list[Route]()
        while True:
            found = replace(self._once(url, address, decisions), redirects=tuple(redirects))
            is_of_other_host = not found.is_named and urlsplit(found.url).hostname != urlsplit(found.first.url).hostname
            if is_of_other_host and not found.is_good:
                return _unknown(found, redirects[-1].ending.culprit)
            if found.outcome is not Outcome.REDIRECTED:
                return found
            if not found.ending.text:
                return _unknown(found, found.ending.culprit)
            following = _followed(url, self._absolute(found), found.ending)
            seen = {one.url for one in (*redirects, found)}
            if following is None or following in seen or len(seen) > _MAX_REDIRECTS:
                return found
            redirects.append(found)
            url = following

    def _absolute(self, route: Route) -> str:
        """Return the URL of a redirect; to one of a path only, nginx adds its port unless that is the usual one."""
        text, scheme = route.ending.text, urlsplit(route.url).scheme
        if route.site is None or not text.startswith("/") or _PORTS[scheme] == route.port:
            return text
        chain = (self._http, route.site.block)
        adds_port = "off" not in {value(chain, "absolute_redirect"), value(chain, "port_in_redirect")}
        return f"{scheme}://{host_of(urlsplit(route.url).hostname or '')}:{route.port}{text}" if adds_port else text

    def _once(self, url: str, address: str, decisions: _Decisions) -> Route:
        """Return the route of one request, without following a redirect."""
        parts = urlsplit(url)
        name = (parts.hostname or "").rstrip(".")
        port = {80: self.ports.http, 443: self.ports.https}[parts.port or _PORTS[parts.scheme]]
        entrance = self.entrances.at(address, port)
        if entrance is None:
            return Route(url, address, port, Ending(Outcome.NO_LISTENER))
        named = entrance.named(host_of(name), decisions.decide)
        site = named or entrance.default
        request = Request(
            parts.scheme,
            host_of(name),
            port,
            parts.path or "/",
            parts.query,
            server_name=spelled([*site.names, ""][0]),
            family=entrance.family,
            maps=self._maps,
        )
        walk = Walk(self._http, site.block, request, self._upstreams, decisions.decide)
        ending = _before(entrance, site, walk, self.speaks_proxy_protocol) or walk.run()
        route = Route(url, entrance.host, port, ending, site, named is not None, walk.rewritten_by)
        return _doubted(route, entrance, parts.scheme)

    @cached_property
    def _http(self) -> Directive:
        """Return the http block with what server blocks inherit; with thousands of them inside, it would be slow."""
        http = next(one for one in self.configuration.directives if one.name == "http")
        return replace(http, block=tuple(one for one in http.block if one.name != "server"))

    @cached_property
    def _upstreams(self) -> Upstreams:
        return Upstreams.of(self.configuration, {one.port for one in self.entrances.all})

    @cached_property
    def _maps(self) -> Mapping[str, Directive]:
        maps = [one for one in self._http.block if one.name == "map" and len(one.arguments) > 1]
        return {one.arguments[1].removeprefix("$"): one for one in maps}


def _before(entrance: Entrance, site: Site, walk: Walk, speaks_proxy_protocol: bool | None) -> Ending | None:
    """Return the ending of a request that nginx refuses before its first phase."""
    greeting = entrance.flagged("proxy_protocol")
    if greeting and speaks_proxy_protocol is False:
        return Ending(Outcome.UNGREETED, None, greeting, is_early=True)
    if walk.request.scheme == "http":
        listen = entrance.flagged("ssl")
        return plain_request_ending(listen, walk) if listen else None
    if entrance.flagged("ssl") is None:
        return Ending(Outcome.NO_HANDSHAKE, None, entrance.listens[0].directive, is_early=True)
    # Clients send no server name for an IP address.
    is_address = walk.request.host.startswith("[") or walk.request.host.replace(".", "").isdigit()
    asked = entrance.default if is_address else site
    rejects = inherited((walk.http, asked.block), "ssl_reject_handshake")
    if rejects and rejects[-1].arguments == ("on",):
        return Ending(Outcome.NO_HANDSHAKE, None, rejects[-1], is_early=True)
    verifies = inherited((walk.http, site.block), "ssl_verify_client")
    if verifies and verifies[-1].arguments == ("on",):
        return Ending(Outcome.UNTRUSTED, 400, verifies[-1], is_early=True)
    return None


def _doubted(route: Route, entrance: Entrance, scheme: str) -> Route:
    """Return the route as UNKNOWN where something decides that the configuration does not show."""
    http2 = None if scheme == "https" or entrance.flagged("ssl") else entrance.flagged("http2")
    if route.is_good and (culprit := http2 or route.ending.doubt):
        return _unknown(route, culprit)
    return route


def _unknown(route: Route, culprit: Directive | None) -> Route:
    return replace(route, ending=replace(route.ending, outcome=Outcome.UNKNOWN, culprit=culprit))


def _followed(url: str, location: str, ending: Ending) -> str | None:
    """Return the URL to which the CA follows the redirect, None if it does not."""
    try:
        following = urljoin(url, location)
        parts = urlsplit(following)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    is_allowed = parts.scheme in _PORTS and port in _PORTS.values() and bool(parts.hostname)
    return following if is_allowed and ending.status != _NOT_FOLLOWED else None
