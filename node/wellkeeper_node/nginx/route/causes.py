"""Say why a route does not lead to the token, and which line to change."""

from typing import Final, NamedTuple
from urllib.parse import urlsplit

from wellkeeper_client import wire
from wellkeeper_node.nginx.changes.server_block import SNIPPETS
from wellkeeper_node.nginx.configuration import Configuration, Directive
from wellkeeper_node.nginx.route.ending import Outcome
from wellkeeper_node.nginx.route.locations import Location
from wellkeeper_node.nginx.route.request import TOKEN
from wellkeeper_node.nginx.route.routes import Route, Router
from wellkeeper_node.nginx.route.words import (
    REHEARSE,
    answered_by,
    is_address,
    named,
    place,
    plain,
    result,
    shown,
    where,
)
from wellkeeper_node.nginx.servers import listens_on
from wellkeeper_node.nginx.sites import Site, asks_responder
from wellkeeper_node.wording import with_reload

_CHALLENGE: Final = "challenge.conf"
_RELOAD: Final = ", then reload nginx."


class Cause(NamedTuple):
    """One line without a full stop, a sentence with the line to change, and the place of that line."""

    cause: str
    fix: str
    place: str


def include_line(configuration: Configuration, snippet: str = _CHALLENGE) -> str:
    """Return the include of a snippet with the path that this configuration uses elsewhere, or the usual one."""
    files = [one.file for one in configuration.walk() if one.file.endswith(f"/{snippet}")]
    path = files[0].removeprefix(f"{configuration.folder}/") if files else f"{SNIPPETS}/{snippet}"
    return f"include {path};"


class Causes:
    """Explains the routes of one configuration."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._include = include_line(router.configuration)

    def of(self, route: Route) -> Cause:
        """Return the cause for a route that does not lead to the token."""
        if route.outcome is Outcome.UNKNOWN:
            return _unknown(route)
        return self._redirected(route) if route.redirects else self._direct(route)

    def missing_listener(self, name: str, family: int) -> Cause:
        """Return the cause where nothing listens on port 80 over the family."""
        line = self._listen_line(family)
        port = self._router.ports.http
        sites = (*self._router.entrances.by_name.get(name, ()), *self._router.entrances.sites)
        after = next((listen for one in sites if (listen := _listen_of(one, port))), None)
        where = "" if after is None else f" after {place(after)}"
        return Cause(
            f"nothing listens on port {port} over IPv{family}",
            f"Add '{line}'{where}{_RELOAD}",
            "" if after is None else place(after),
        )

    def _redirected(self, route: Route) -> Cause:
        """Explain a redirect that leads to something else than the token."""
        redirect, last = route.first, self._direct(route)
        culprit = redirect.ending.culprit
        answers = f"{plain(redirect.url)} answers {redirect.ending.status} to {plain(redirect.ending.text)}"
        fix = self._moved(redirect) if redirect.ending.is_early or not redirect.site else self._included(redirect.site)
        return Cause(f"{answers} ({named(culprit)}), where {last.cause}", fix, where(culprit))

    def _direct(self, route: Route) -> Cause:
        """Explain a route without its redirects."""
        if route.site is None:
            return self._nothing_listens(route)
        if route.outcome in _BEFORE:
            return _before(route)
        return self._other_block(route) or self._early(route) or self._in_location(route, route.site)

    def _early(self, route: Route) -> Cause | None:
        """Return the cause where a directive acts before nginx chooses a location."""
        culprit = route.ending.culprit if route.ending.is_early else route.rewritten_by
        if culprit is None:
            return None
        happens = result(route) if route.ending.is_early else "changes the path"
        cause = f"{named(culprit)} {happens} before nginx chooses a location"
        return self._in_default(route, cause) or Cause(cause, self._moved(route, culprit), place(culprit))

    def _in_location(self, route: Route, site: Site) -> Cause:
        location, culprit = route.ending.location, route.ending.culprit
        if route.outcome is Outcome.NO_UPSTREAM:
            return missing_upstream(self._router.configuration)
        if culprit is not None and culprit.name == "proxy_method":
            cause = f"{named(culprit)} asks the responder with a method other than GET"
            return Cause(cause, f"Move this line into the locations that need it{_RELOAD}", place(culprit))
        if location is not None and site.answers_challenges() and not asks_responder(location):
            return self._preceded(route, site, location)
        if location is not None and _is_for_challenges(location):
            return self._other_client(route, location)
        return self._lacking(route, site)

    def _preceded(self, route: Route, site: Site, location: Directive) -> Cause:
        """Explain a location that answers instead of the one that asks the responder.

        Only one for paths below that of challenges can be removed: others may be security rules, and challenge.conf
        comes before them.
        """
        found, ours = Location.of(location), site.challenge_locations()[0]
        if not found.is_pattern and found.name.startswith(wire.CHALLENGE_PREFIX):
            cause = f"another location takes precedence over '{shown(ours)}': {answered_by(route)}"
            return Cause(cause, f"Remove '{shown(location)}'{_RELOAD}", place(location))
        cause = f"{named(ours)} does not answer: {answered_by(route)}"
        return Cause(cause, f"Replace '{shown(ours)}' with '{self._include}'{_RELOAD}", place(ours))

    def _in_default(self, route: Route, cause: str) -> Cause | None:
        """Return the cause where a default server, which answers no challenges on purpose, gets a name."""
        name = urlsplit(route.url).hostname or ""
        if route.site is None or route.is_named or is_address(name):
            return None
        return Cause(
            f"no server block on port {route.port} has the name {name}, and in the default server {cause}",
            f"Add {name} to 'server_name' of a block on port {route.port} that includes {_CHALLENGE}{_RELOAD}",
            route.site.place,
        )

    def _nothing_listens(self, route: Route) -> Cause:
        after = self._router.entrances.sites
        line = f"listen {'[::]:' if ':' in route.host else ''}{route.port};"
        return Cause(
            f"nothing listens on port {route.port}",
            f"Answer on port 80 instead: move the redirect into 'location /', or add '{line}'{_RELOAD}",
            after[0].place if after else "",
        )

    def _lacking(self, route: Route, site: Site) -> Cause:
        name, answers = urlsplit(route.url).hostname or "", answered_by(route)
        cause = f"the server block at {site.place} does not include challenge.conf: {answers}"
        if not route.is_named:
            no_other = "" if is_address(name) else f"no server block on port {route.port} has the name {name}, and "
            cause = f"{no_other}the default server at {site.place} does not include challenge.conf: {answers}"
        return Cause(cause, self._included(site), place(_head(site)))

    def _included(self, site: Site) -> str:
        return f"Add '{self._include}' after {place(_head(site))}{_RELOAD}"

    def _moved(self, route: Route, culprit: Directive | None = None) -> str:
        """Return the fix for a directive that runs before nginx chooses a location."""
        one = culprit or route.ending.culprit
        moved = f"Move '{shown(one)}' at {place(one)} into 'location / {{ … }}'" if one else "Move it into 'location /'"
        if route.site is None or route.site.answers_challenges():
            return f"{moved}{_RELOAD}"
        return f"{moved}, and add '{self._include}' after {place(_head(route.site))}{_RELOAD}"

    def _other_block(self, route: Route) -> Cause | None:
        """Return the cause where the default server answers for a name that has a server block of its own."""
        name = urlsplit(route.url).hostname or ""
        family = 6 if ":" in route.host else 4
        sites = self._router.entrances.by_name.get(name, ())
        own = [(one, listen) for one in sites if (listen := _listen_of(one, route.port))]
        if route.is_named or route.site is None or not own:
            return None
        site, listen = own[0]
        line = self._listen_line(family, route)
        cause = f"the server block for {name} at {site.place} does not listen there: the default server at"
        return Cause(
            f"{cause} {route.site.place} {result(route)}",
            f"Add '{line}' after {place(listen)}{_RELOAD}",
            place(listen),
        )

    def _listen_line(self, family: int, route: Route | None = None) -> str:
        port = route.port if route else self._router.ports.http
        host = route.host if route and route.host not in {"*", "::"} else ""
        if family == 6:
            return f"listen [{host or '::'}]:{port};"
        return f"listen {host}:{port};" if host else f"listen {port};"

    def _other_client(self, route: Route, location: Directive) -> Cause:
        """Explain a location for challenges that is not ours, or one that is written by hand."""
        culprit = route.ending.culprit
        if route.outcome is Outcome.MISROUTED and culprit:
            cause = f"{named(culprit)} asks the responder for {plain(route.ending.text)!r}"
        elif route.outcome is Outcome.MISASKED and culprit:
            cause = f"{named(culprit)} asks the responder with TLS, but it speaks HTTP"
        elif culprit and (route.outcome is Outcome.REFUSED or asks_responder(location)):
            cause = f"{named(culprit)} {result(route)}"
        else:
            whose = ", of another ACME client," if _is_of_other_client(route, location) else ""
            cause = f"{named(location)}{whose} {result(route)}"
        return Cause(cause, f"Replace '{shown(location)}' with '{self._include}'{_RELOAD}", place(location))


def missing_upstream(configuration: Configuration) -> Cause:
    """Return the cause where upstream.conf was forgotten."""
    http = next((one for one in configuration.directives if one.name == "http"), None)
    where = "the http block" if http is None else f"the http block at {place(http)}"
    line = include_line(configuration, "upstream.conf")
    return Cause(
        "no upstream 'wellkeeper_responder' is defined: upstream.conf is not included",
        f"Add '{line}' to {where}{_RELOAD}",
        "" if http is None else place(http),
    )


# By the directive, for routes that lead to the responder.
_DOUBTS: Final = {
    "listen": (
        "answers only HTTP/2 with nginx before 1.25.1, but the CA speaks HTTP/1.1",
        f"Remove 'http2' from this line{_RELOAD}",
    ),
    "limit_req": (
        "also limits the CA, whose requests come at the same time",
        f"Add 'burst=20 nodelay' to this line, or move it into the locations that need it{_RELOAD}",
    ),
    "proxy_cache": (
        "also caches answers to challenges, such as the 404 before a token is published",
        f"Include challenge.conf instead of the location that asks the responder{_RELOAD}",
    ),
    "error_page": (
        "replaces the responder's 404 with a page, so that Wellkeeper cannot recognize its own location",
        f"Include challenge.conf instead of the location that asks the responder{_RELOAD}",
    ),
}
_BEFORE: Final = {
    Outcome.PLAIN: ("expects TLS on this port", f"Remove 'ssl' from this line{_RELOAD}"),
    Outcome.UNGREETED: (
        "expects the PROXY protocol",
        with_reload("Set proxy_protocol = true in [[nodes]] of the settings, if a proxy in front of nginx speaks it."),
    ),
    Outcome.NO_HANDSHAKE: (
        "refuses the TLS handshake",
        f"Answer the challenge on port 80: move the redirect into 'location /'{_RELOAD}",
    ),
    Outcome.UNTRUSTED: (
        "asks for a client certificate, which the CA does not have",
        f"Answer the challenge on port 80: move the redirect into 'location /'{_RELOAD}",
    ),
}


def _unknown(route: Route) -> Cause:
    culprit = route.ending.culprit
    if culprit and culprit.name in _DOUBTS and (culprit is route.ending.doubt or culprit.name == "listen"):
        cause, fix = _DOUBTS[culprit.name]
        return Cause(f"{named(culprit)} {cause}", fix, where(culprit))
    cause = f"cannot predict what the CA reads: {named(culprit)} decides"
    return Cause(cause, REHEARSE, where(culprit))


def _before(route: Route) -> Cause:
    """Return the cause of a request that nginx refuses before its first phase."""
    culprit = route.ending.culprit
    cause, fix = _BEFORE[route.outcome]
    return Cause(f"{named(culprit)} {cause}", fix, where(culprit))


def _head(site: Site) -> Directive:
    """Return the line after which an include belongs: the last `listen` or `server_name`, else the block's first."""
    own = [one for one in site.block.block if one.name in {"listen", "server_name"} and one.file == site.block.file]
    return own[-1] if own else site.block


def _listen_of(site: Site, port: int) -> Directive | None:
    """Return the first `listen` of the block on the port."""
    return next((one for one in site.all("listen") if listens_on(one, port)), None)


def _is_of_other_client(route: Route, location: Directive) -> bool:
    """Return whether the location answers with a directory, a thumbprint, or another server."""
    text = route.ending.text
    is_answer = TOKEN in text if route.outcome is Outcome.RETURNED else route.outcome is Outcome.SERVED and bool(text)
    return is_answer or any(one.name in {"root", "alias"} for one in location.block)


def _is_for_challenges(location: Directive) -> bool:
    return "well-known" in Location.of(location).name
