"""Follow one request through nginx's phases: rewrite, location, rewrite, access, content.

Shortcoming: what a module does that nginx's own sources do not have (Lua, ModSecurity) is UNKNOWN or left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from wellkeeper_node.nginx.configuration import Directive
from wellkeeper_node.nginx.route.access import refusal
from wellkeeper_node.nginx.route.content import Upstreams, content
from wellkeeper_node.nginx.route.doubts import doubt
from wellkeeper_node.nginx.route.ending import Chain, Ending, Outcome, inherited
from wellkeeper_node.nginx.route.locations import Decide, find_location, named_location
from wellkeeper_node.nginx.route.request import Request
from wellkeeper_node.nginx.route.rewriting import Script

# NGX_HTTP_MAX_URI_CHANGES
_MAX_CHANGES: Final = 10
_URL: Final = ("http://", "https://")


@dataclass
class Walk:
    """One request in one server block; `http` is the block around it."""

    http: Directive
    server: Directive
    request: Request
    upstreams: Upstreams
    decide: Decide
    rewritten_by: Directive | None = None
    _changes: int = 0
    _shows_page: bool = False

    def run(self) -> Ending:
        """Return how the request ends."""
        script = Script(self.request, self.decide)
        ending = script.run(self.server)
        self.rewritten_by = self.rewritten_by or (None if self._changes else script.changed_by)
        if ending is not None:
            return self._with_page(replace(ending, is_early=True), (self.http, self.server))
        return self._in_location()

    def _in_location(self) -> Ending:
        """Choose the location, again after each rewrite in one."""
        while self._changes <= _MAX_CHANGES:
            self.request.uri_changed = False
            ending = self._through((self.http, self.server, *find_location(self.server, self.request, self.decide)))
            if ending is not None:
                return ending
            self._changes += 1
        return Ending(Outcome.LOOPED, 500)

    def _through(self, chain: Chain) -> Ending | None:
        """Return how the location ends the request; None if it rewrites the path and nginx chooses again."""
        location = chain[-1] if len(chain) > 2 else None
        script = Script(self.request, self.decide)
        ending = None
        if location is not None:
            ending = self._hidden(chain) or script.run(location)
            if ending is None and self.request.uri_changed:
                return None
        chain = (*chain, *script.branches[-1:])
        ending = ending or refusal(chain, self.request, self._status_of) or self._content(chain)
        if ending.outcome is Outcome.ANSWERED:
            ending = replace(ending, doubt=ending.doubt or doubt(chain))
        return self._with_page(replace(ending, location=ending.location or location), chain)

    def _hidden(self, chain: Chain) -> Ending | None:
        """Return the ending of a client's request in a location for requests that nginx redirects inside."""
        found = inherited(chain[2:], "internal")
        return Ending(Outcome.REFUSED, 404, found[0]) if found and not self.request.is_internal else None

    def _content(self, chain: Chain) -> Ending:
        """Return the content; no file exists that `try_files` looks for, so that its last argument decides."""
        tried = [one for one in chain[-1].block if one.name == "try_files" and one.arguments]
        if not tried:
            return content(chain, self.request, self.upstreams)
        return self._internal(tried[0].arguments[-1], tried[0])

    def _internal(self, target: str, culprit: Directive) -> Ending:
        """Return the ending of a redirect inside nginx: to a path, to @NAME, or of `=CODE`."""
        if target.startswith("="):
            return Ending(Outcome.RETURNED, int(target[1:]), culprit)
        self._changes += 1
        if self._changes > _MAX_CHANGES:
            # Only if the file of that path does not exist.
            return Ending(Outcome.LOOPED, None, culprit)
        self.request.is_internal = True
        if target.startswith("@"):
            chain = (self.http, self.server, *named_location(self.server, target))
            return self._through(chain) or self._in_location()
        path = self.request.expand(target)
        if path is None:
            return Ending(Outcome.UNKNOWN, culprit=culprit)
        self.request.path, _, self.request.arguments = path.partition("?")
        return self.run()

    def _status_of(self, path: str) -> int | None:
        """Return the status of the subrequest of an auth_request."""
        asked = replace(self.request, path=path, values=dict(self.request.values), is_internal=True)
        ending = Walk(self.http, self.server, asked, self.upstreams, self.decide, _changes=self._changes + 1).run()
        return ending.status if ending.outcome is Outcome.RETURNED else None

    def _with_page(self, ending: Ending, chain: Chain) -> Ending:
        """Return the ending after `error_page`, which applies to errors of nginx itself, not to texts of `return`."""
        pages = inherited(chain, "error_page")
        page = None if ending.text or not ending.status or self._shows_page else _page(pages, ending.status)
        if page is None or ending.outcome is Outcome.REDIRECTED:
            return ending
        self._shows_page = True
        target, changed = page
        if target.startswith(_URL):
            return replace(ending, outcome=Outcome.REDIRECTED, status=302, text=self.request.expand(target) or "")
        inner = self._internal(target, pages[0])
        if inner.outcome is Outcome.ANSWERED and changed in {"=", "=200"}:
            return inner
        statuses = {"": ending.status, "=": inner.status}
        return replace(ending, status=statuses[changed] if changed in statuses else int(changed[1:]))


def plain_request_ending(listen: Directive | None, walk: Walk) -> Ending:
    """Return the ending of an HTTP request at a port for TLS: 400, or the page for nginx's code 497."""
    ending = Ending(Outcome.PLAIN, 400, listen, is_early=True)
    page = _page(inherited((walk.http, walk.server), "error_page"), 497)
    if page is None or not page[0].startswith((*_URL, "$scheme")):
        return ending
    status = int(page[1][1:]) if len(page[1]) > 1 else 302
    culprit = inherited((walk.http, walk.server), "error_page")[0]
    return Ending(Outcome.REDIRECTED, status, culprit, walk.request.expand(page[0]) or "", is_early=True)


def _page(pages: Sequence[Directive], status: int) -> tuple[str, str] | None:
    """Return the target of the `error_page` for the status, and its `=` or `=CODE`."""
    for one in pages:
        *codes, target = one.arguments
        if str(status) in codes:
            return target, next((code for code in codes if code.startswith("=")), "")
    return None
