"""Mask in a server's words what may be secret of the request: many servers repeat the URL in an error."""

import json
from base64 import b64encode
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
    parts = (*split.path.split("/"), *split.query.split("&"), *values, split.username)
    yield from (one for one in parts if one and len(one) >= _SHORTEST_PART)
    if split.password:
        yield split.password
    if split.username is not None:
        user = f"{unquote(split.username)}:{unquote(split.password or '')}"
        yield b64encode(user.encode("latin-1", errors="replace")).decode()  # as aiohttp sends it


def _forms(secret: str) -> Iterator[str]:
    for one in (secret, unquote(secret)):
        in_json = json.dumps(one)[1:-1]
        yield from (one, quote(one), quote(one, safe=""), escape(one), repr(one)[1:-1], in_json)
        yield from (text.replace("/", r"\/") for text in (one, in_json))  # as PHP writes JSON
