"""Mask in a server's words what may be secret of the request: many servers repeat the URL in an error."""

from collections.abc import Iterable, Iterator
from html import escape
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

_MASK: Final = "…"
# Shorter parts of a URL are words, such as `hooks`.
_SHORTEST_PART: Final = 6


def masked(words: str, url: str, secrets: Iterable[str]) -> str:
    """Return the words without the secrets, and without the long parts of the URL, in any encoding of the web."""
    found = {form for one in (*_parts(url), *filter(None, secrets)) for form in _forms(one)}
    for one in sorted(found, key=len, reverse=True):
        words = words.replace(one, _MASK)
    return words


def _parts(url: str) -> Iterator[str]:
    try:
        split = urlsplit(url)
    except ValueError:  # it is not sent either
        return
    values = (value for _, value in parse_qsl(split.query))
    parts = (*split.path.split("/"), *split.query.split("&"), *values, split.username, split.password)
    yield from (one for one in parts if one and len(one) >= _SHORTEST_PART)


def _forms(secret: str) -> Iterator[str]:
    for one in (secret, unquote(secret)):
        yield from (one, quote(one), quote(one, safe=""), escape(one), repr(one)[1:-1])
