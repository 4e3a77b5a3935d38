"""Choose the location of a path as ngx_http_core_find_location does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wellkeeper_node.nginx.configuration import Directive
from wellkeeper_node.nginx.route.request import Request

# Decides for a directive whose regular expression Python does not know.
Decide = Callable[[Directive], bool]


@dataclass(frozen=True, slots=True)
class Location:
    """A `location` with its modifier: "", =, ^~, ~, ~* or @."""

    directive: Directive
    modifier: str
    name: str

    @classmethod
    def of(cls, directive: Directive) -> "Location":
        if len(directive.arguments) > 1:
            return cls(directive, directive.arguments[0], directive.arguments[1])
        name = "".join(directive.arguments)
        modifier = next((one for one in ("=", "^~", "~*", "~", "@") if name.startswith(one)), "")
        return cls(directive, modifier, name.removeprefix(modifier))

    @property
    def is_pattern(self) -> bool:
        return self.modifier.startswith("~")


def find_location(block: Directive, request: Request, decide: Decide) -> tuple[Directive, ...]:
    """Return the chosen location after those that contain it; empty without one."""
    return _find(block, request, decide)[0]


def named_location(block: Directive, name: str) -> tuple[Directive, ...]:
    """Return the location `@NAME`; empty without one."""
    return tuple(one.directive for one in _locations(block) if one.modifier == "@" and one.name == name[1:])[:1]


def _find(block: Directive, request: Request, decide: Decide) -> tuple[tuple[Directive, ...], bool]:
    """Return the chosen locations, and whether the search ends there, so that no outer pattern can win."""
    locations = _locations(block)
    prefix = _longest_prefix(locations, request.path)
    found = tuple[Directive, ...]()
    if prefix is not None:
        inner, is_final = _find(prefix.directive, request, decide)
        found = (prefix.directive, *inner)
        if is_final or prefix.modifier == "=":
            return found, True
    if prefix is None or prefix.modifier != "^~":
        for one in locations:
            if one.is_pattern and _matches(one, request, decide):
                return (one.directive, *_find(one.directive, request, decide)[0]), True
    return found, False


def _longest_prefix(locations: Sequence[Location], path: str) -> Location | None:
    exact = [one for one in locations if one.modifier == "=" and one.name == path]
    prefixes = [one for one in locations if one.modifier in {"", "^~"} and path.startswith(one.name)]
    return next(iter(exact), max(prefixes, key=lambda one: len(one.name), default=None))


def _matches(one: Location, request: Request, decide: Decide) -> bool:
    found = request.search(one.name, request.path, ignores_case=one.modifier == "~*")
    return decide(one.directive) if found is None else found


def _locations(block: Directive) -> Sequence[Location]:
    return [Location.of(one) for one in block.block if one.name == "location" and one.arguments]
