"""Run the directives of ngx_http_rewrite_module in a block: `set`, `if`, `rewrite`, `break` and `return`."""

from collections.abc import Sequence
from enum import Enum
from typing import Final

from wellkeeper_node.nginx.configuration import Directive
from wellkeeper_node.nginx.route.conditions import holds
from wellkeeper_node.nginx.route.ending import Ending, Outcome
from wellkeeper_node.nginx.route.locations import Decide
from wellkeeper_node.nginx.route.request import Request

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CLOSES: Final = 444
_SCHEMES: Final = ("http://", "https://", "$scheme")
_PERMANENT: Final = {"redirect": 302, "permanent": 301}


class _Flow(Enum):
    NEXT = "the next directive"
    STOP = "no further directive"


class Script:
    """The rewrite directives of one block; `branches` are the `if` blocks that held, `changed_by` the last rewrite."""

    def __init__(self, request: Request, decide: Decide) -> None:
        self._request = request
        self._decide = decide
        self.branches: list[Directive] = []
        self.changed_by: Directive | None = None

    def run(self, block: Directive) -> Ending | None:
        """Return how the request ends here, None if it continues."""
        found = self._run(block.block)
        return found if isinstance(found, Ending) else None

    def _run(self, directives: Sequence[Directive]) -> Ending | _Flow:
        for one in directives:
            step = self._steps(one)
            if step is not _Flow.NEXT:
                return step
        return _Flow.NEXT

    def _steps(self, one: Directive) -> Ending | _Flow:
        if one.name == "return":
            return returned(one, self._request)
        if one.name == "break":
            self._request.uri_changed = False
            return _Flow.STOP
        if one.name == "set" and len(one.arguments) > 1:
            self._request.values[one.arguments[0].removeprefix("$")] = self._request.expand(one.arguments[1])
        if one.name == "rewrite" and len(one.arguments) > 1:
            return self._rewrite(one)
        if one.name == "if":
            return self._branch(one)
        return _Flow.NEXT

    def _branch(self, one: Directive) -> Ending | _Flow:
        found = holds(one.arguments, self._request)
        if not (self._decide(one) if found is None else found):
            return _Flow.NEXT
        self.branches.append(one)
        step = self._run(one.block)
        # The `if` is the line to change, not the `return` inside.
        return Ending(step.outcome, step.status, one, step.text) if isinstance(step, Ending) else step

    def _rewrite(self, one: Directive) -> Ending | _Flow:
        pattern, replacement, *flags = one.arguments
        found = self._request.search(pattern, self._request.path)
        if not (self._decide(one) if found is None else found):
            return _Flow.NEXT
        expanded = self._request.expand(replacement)
        if replacement.startswith(_SCHEMES) or set(flags) & set(_PERMANENT):
            return Ending(Outcome.REDIRECTED, _PERMANENT.get("".join(flags), 302), one, self._with_query(expanded))
        if expanded is None:
            return Ending(Outcome.UNKNOWN, culprit=one)
        self._change(expanded)
        self.changed_by = one
        self._request.uri_changed = flags != ["break"]
        self._request.keeps_path |= flags == ["break"]
        self._request.is_internal = True
        return _Flow.STOP if flags else _Flow.NEXT

    def _change(self, path: str) -> None:
        self._request.path, _, query = path.partition("?")
        # A question mark at the end drops the query of the client.
        self._request.arguments = query if path.endswith("?") or query else self._request.arguments

    def _with_query(self, url: str | None) -> str:
        if url is None:
            return ""
        query = self._request.arguments
        return url.removesuffix("?") if "?" in url or not query else f"{url}?{query}"


def returned(one: Directive, request: Request) -> Ending:
    """Return the ending of a `return`: CODE, CODE TEXT, CODE URL or URL."""
    code, *texts = one.arguments
    status = int(code) if code.isdigit() else 302
    text = texts[0] if texts else "" if code.isdigit() else code
    if status == _CLOSES:
        return Ending(Outcome.CLOSED, culprit=one)
    expanded = request.expand(text)
    if status in REDIRECTS:
        return Ending(Outcome.REDIRECTED, status, one, expanded or "")
    return Ending(Outcome.RETURNED, status, one, text if expanded is None else expanded)
