"""The remedy for words of `nginx -t` that newcomers meet: pure functions."""

import re
from pathlib import PurePath
from typing import Final

# nginx resolves the name of an upstream that is not defined.
_NO_UPSTREAM: Final = re.compile(r'host not found in upstream "wellkeeper_responder"(?: in (\S+?)/[^/\s]+:\d+)?')
_TWO_UPSTREAMS: Final = 'duplicate upstream "wellkeeper_responder"'
_USUAL: Final = PurePath("snippets/wellkeeper")


def remedy_for(words: str) -> str:
    """Return a sentence with the line to add or remove, "" for words that explain themselves."""
    if _TWO_UPSTREAMS in words:
        return "Remove one of the two: include upstream.conf only once, in the http block."
    found = _NO_UPSTREAM.search(words)
    if found is None:
        return ""
    path = PurePath(found[1] or _USUAL) / "upstream.conf"
    return f"Add 'include {path};' to nginx's http block, then reload nginx: upstream.conf is not included."
