"""The content phase: which upstream or file a location answers with, and with which path."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from wellkeeper_node.nginx.configuration import Configuration, Directive
from wellkeeper_node.nginx.route.ending import Chain, Ending, Outcome, inherited, value
from wellkeeper_node.nginx.route.locations import Location
from wellkeeper_node.nginx.route.request import CHALLENGE, TOKEN, Request
from wellkeeper_node.nginx.servers import listen_address
from wellkeeper_node.nginx.sites import UPSTREAM

_PASSES: Final = frozenset(
    {"proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass", "empty_gif", "stub_status"}
)


@dataclass(frozen=True)
class Upstreams:
    """The upstreams of http by name, each with its servers; `listening` are the ports of this nginx."""

    servers: dict[str, Collection[str]]
    listening: Collection[int] = ()

    @classmethod
    def of(cls, configuration: Configuration, listening: Collection[int] = ()) -> "Upstreams":
        blocks = [one for http in configuration.directives if http.name == "http" for one in http.block]
        named = [one for one in blocks if one.name == "upstream" and one.arguments]
        return cls({one.arguments[0]: frozenset(_servers(one)) for one in named}, listening)

    @property
    def has_responder(self) -> bool:
        return UPSTREAM in self.servers

    def is_responder(self, authority: str) -> bool:
        """Return whether the upstream or address is the responder's."""
        ours = self.servers.get(UPSTREAM, ())
        return authority == UPSTREAM or authority in ours or bool(set(self.servers.get(authority, ())) & set(ours))

    def is_elsewhere(self, authority: str) -> bool:
        """Return whether another nginx, or another block of this one, may pass the request on to the responder."""
        return any(self._is_elsewhere(one) for one in self.servers.get(authority, [authority]))

    def _is_elsewhere(self, server: str) -> bool:
        host, port = listen_address(server)
        if host.startswith("unix:"):
            return False
        return port in self.listening or not (host in {"localhost", "::1"} or host.startswith("127."))


def content(chain: Chain, request: Request, upstreams: Upstreams) -> Ending:
    """Return what the location answers. An `if` that holds inherits the upstream of its location."""
    for one in _own(chain):
        if one.name == "proxy_pass":
            return _proxied(one, chain, request, upstreams)
        if one.name in _PASSES:
            return Ending(Outcome.SERVED, culprit=one, text="".join(one.arguments[:1]))
        if one.name.startswith(("content_by_", "js_content", "perl")):
            return Ending(Outcome.UNKNOWN, culprit=one)
    # Only an ACME client would write a file of this name.
    return Ending(Outcome.SERVED, 404 if TOKEN in request.path else None)


def _own(chain: Chain) -> Iterator[Directive]:
    """Yield the directives of an `if` and of its location, not those of outer locations."""
    for block in reversed(chain[2:]):
        yield from block.block
        if block.name == "location":
            return


def _proxied(one: Directive, chain: Chain, request: Request, upstreams: Upstreams) -> Ending:
    written = "".join(one.arguments[:1])
    target = request.expand(written)
    if target is None:
        return Ending(Outcome.UNKNOWN if _is_for_challenges(chain) else Outcome.SERVED, culprit=one, text=written)
    authority, path = _split(target)
    if not upstreams.is_responder(authority):
        is_unknown = _is_for_challenges(chain) and upstreams.is_elsewhere(authority)
        return Ending(Outcome.UNKNOWN if is_unknown else Outcome.SERVED, culprit=one, text=target)
    if authority == UPSTREAM and not upstreams.has_responder:
        return Ending(Outcome.NO_UPSTREAM, 502, one)
    if target.lower().startswith("https:"):
        return Ending(Outcome.MISASKED, 502, one)
    passed = _passed(path, has_variables=written != target, chain=chain, request=request)
    if passed != CHALLENGE:
        return Ending(Outcome.MISROUTED, None, one, passed)
    return _with_other_method(chain, request) or Ending(Outcome.ANSWERED, None, one, passed)


def _with_other_method(chain: Chain, request: Request) -> Ending | None:
    """Return the ending of a request that is passed on with another method than GET, None otherwise."""
    method = request.expand(value(chain, "proxy_method", "GET"))
    if method == "GET":
        return None
    culprit = inherited(chain, "proxy_method")[-1]
    return Ending(Outcome.UNKNOWN if method is None else Outcome.MISASKED, culprit=culprit)


def _split(target: str) -> tuple[str, str]:
    """Return the authority and the path of http://HOST:PORT/PATH or http://unix:SOCKET:/PATH."""
    rest = target.partition("://")[2]
    if rest.startswith("unix:"):
        socket, _, path = rest.removeprefix("unix:").partition(":")
        return f"unix:{socket}", path
    authority, slash, path = rest.partition("/")
    return authority, slash + path


def _passed(path: str, *, has_variables: bool, chain: Chain, request: Request) -> str:
    """Return the path that the upstream gets."""
    if not path or (request.keeps_path and not has_variables):
        return request.path
    if has_variables:
        return path
    location = _innermost(chain)
    return path + request.path.removeprefix(location.name) if location else path


def _is_for_challenges(chain: Chain) -> bool:
    location = _innermost(chain)
    return location is not None and "well-known" in location.name


def _innermost(chain: Chain) -> Location | None:
    found = [one for one in chain if one.name == "location"]
    return Location.of(found[-1]) if found else None


def _servers(upstream: Directive) -> Sequence[str]:
    return [one.arguments[0] for one in upstream.block if one.name == "server" and one.arguments]
