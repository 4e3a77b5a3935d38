"""Find directives that answer a request before nginx chooses a location, or that turn every request away."""

import re
from collections.abc import Sequence
from typing import Final

from wellkeeper_client import wire
from wellkeeper_node.nginx.changes.statements import Statement
from wellkeeper_node.nginx.configuration import Directive
from wellkeeper_node.nginx.patterns import compiled

_EXAMPLE: Final = f"{wire.CHALLENGE_PREFIX}{'x' * 43}"
# Conditions on other variables (bad clients, methods) do not concern the CA.
_OF_THE_REQUEST: Final = re.compile(
    r"\$(host|http_host|scheme|https|server_port|http_x_forwarded_\w+|http_upgrade\w+|request_filename)\b"
)
_OF_THE_PATH: Final = re.compile(r"\$(?:request_|document_)?uri (!?)(~\*|~|=) ?(.*)", re.DOTALL)


def is_blocking(one: Directive) -> bool:
    """Return whether the directive may answer a request for a challenge before a location is chosen."""
    if one.name == "return":
        return True
    if one.name == "rewrite":
        return bool(one.arguments) and _may_match(one.arguments[0])
    if one.name != "if" or spares_challenges(one):
        return False
    return _may_hold(_condition(one)) and any(i.name in {"return", "rewrite"} for i in one.block)


def spares_challenges(condition: Directive) -> bool:
    """Return whether the condition names the path of challenges."""
    words = " ".join(condition.arguments)
    return "acme-challenge" in words or "well-known" in words


def is_location_of_site(one: Directive) -> bool:
    """Return whether the directive is a location other than those for challenges and for internal redirects."""
    if one.name != "location" or not one.arguments:
        return False
    return wire.CHALLENGE_PREFIX not in one.arguments and not one.arguments[0].startswith("@")


def has_content(block: Sequence[Directive]) -> bool:
    """Return whether a server block serves something by itself; one that only redirects or refuses does not.

    With `listen 443 ssl` as well, a redirect of all paths to https would redirect to itself forever.
    """
    locations = [one for one in block if is_location_of_site(one) and not spares_challenges(one)]
    roots = [one for one in locations if one.arguments in {("/",), ("^~", "/")}]
    if any(map(_turns_away, block)) or any(_redirects_to_https(inner) for root in roots for inner in root.block):
        return False
    return not locations or not all(any(map(_turns_away, one.block)) for one in locations)


def as_directive(one: Statement) -> Directive:
    """Return the statement as the parser of nginx's output would."""
    block = tuple(as_directive(inner) for inner in one.block or ())
    return Directive(one.name, one.arguments, "", 0, block)


def _condition(one: Directive) -> str:
    words = " ".join(one.arguments)
    return words[1:-1].strip() if words.startswith("(") else words


def _may_hold(condition: str) -> bool:
    """Return whether the condition may hold for a challenge, and not only because of the client or the method."""
    of_path = _OF_THE_PATH.fullmatch(condition)
    if of_path is None:
        return _OF_THE_REQUEST.search(condition) is not None
    negation, operator, value = of_path.groups()
    if operator == "=":
        return negation == "!"
    found = _search(value, ignores_case=operator == "~*")
    return found is None or found != (negation == "!")


def _turns_away(one: Directive) -> bool:
    """Return whether the directive redirects or refuses every request."""
    if one.name == "return":
        return not one.arguments[0].startswith("2")
    return _is_rewrite_to_url(one)


def _redirects_to_https(one: Directive) -> bool:
    if one.name == "return":
        return one.arguments[-1].startswith("https://")
    return _is_rewrite_to_url(one)


def _is_rewrite_to_url(one: Directive) -> bool:
    return one.name == "rewrite" and is_blocking(one) and one.arguments[1].startswith("http")


def _may_match(pattern: str) -> bool:
    return _search(pattern) is not False


def _search(pattern: str, *, ignores_case: bool = False) -> bool | None:
    """Return whether the pattern matches a challenge; None for a pattern of PCRE that Python does not know."""
    found = compiled(pattern, ignores_case=ignores_case)
    return None if found is None else found.search(_EXAMPLE) is not None
