"""The CA's request as nginx sees it, and the values of nginx's variables for it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from wellkeeper_client import wire
from wellkeeper_node.nginx.configuration import Directive
from wellkeeper_node.nginx.patterns import compiled

# As long as Boulder's, with every kind of character that a token can have.
TOKEN: Final = "Wk-0_9aZbYcXdWeVfUgThSiRjQkPlOmNnMoLpKqJrIs"
CHALLENGE: Final = f"{wire.CHALLENGE_PREFIX}{TOKEN}"
_USER_AGENT: Final = "Mozilla/5.0 (compatible; Let's Encrypt validation server; +https://www.letsencrypt.org)"
_VARIABLE: Final = re.compile(r"\$(?:([1-9])|\{(\w+)\}|(\w+))")
# The CA does not send them, but a proxy in front of nginx may.
_OF_PROXIES: Final = re.compile(r"http_(x_|cf_|forwarded|via|true_client)")


def host_of(identifier: str) -> str:
    """Return the name as in a Host header."""
    return f"[{ip_address(identifier)}]" if ":" in identifier else identifier


@dataclass
class Request:
    """A request; `path` is changed by rewrites. A variable that is not in `values` has no value yet.

    None is the value that a variable has when it cannot be predicted. `maps` are the `map` blocks by their variable.
    """

    scheme: str
    host: str
    port: int
    path: str = CHALLENGE
    arguments: str = ""
    server_name: str = ""
    family: int = 4
    maps: Mapping[str, Directive] = field(default_factory=dict)
    values: dict[str, str | None] = field(default_factory=dict)
    captures: tuple[str, ...] = ()
    original_path: str = ""
    # After `rewrite … break`, `proxy_pass` passes the whole path, instead of replacing the location's prefix.
    keeps_path: bool = False
    # After a rewrite or another redirect inside nginx.
    is_internal: bool = False
    uri_changed: bool = False

    def __post_init__(self) -> None:
        self.original_path = self.original_path or self.path

    @property
    def uri(self) -> str:
        """Return path and query as the client sent them."""
        return f"{self.original_path}?{self.arguments}" if self.arguments else self.original_path

    def expand(self, text: str) -> str | None:
        """Return the text with the values of its variables; None if one cannot be predicted."""
        values = [self._captured(one[1]) if one[1] else self.value(one[2] or one[3]) for one in _found(text)]
        known = [one for one in values if one is not None]
        if len(known) < len(values):
            return None
        following = iter(known)
        return _VARIABLE.sub(lambda _: next(following), text)

    def value(self, name: str) -> str | None:
        """Return the value of the variable; None if it cannot be predicted."""
        if name in self.values:
            return self.values[name]
        known = self._of_the_request()
        if name in known:
            return known[name]
        if name in self.maps:
            return self._mapped(self.maps[name])
        if name.startswith(("arg_", "cookie_")) and not self.arguments:
            return ""
        return "" if name.startswith("http_") and not _OF_PROXIES.match(name) else None

    def search(self, pattern: str, text: str, *, ignores_case: bool = False) -> bool | None:
        """Return whether the pattern matches, and remember its captures; None for one that Python does not know."""
        found = compiled(pattern, ignores_case=ignores_case)
        if found is None:
            return None
        match = found.search(text)
        if match is None:
            return False
        self.captures = tuple(one or "" for one in match.groups())
        self.values |= {name: value or "" for name, value in match.groupdict().items()}
        return True

    def _captured(self, number: str) -> str:
        """Return the value of $1, …; it is empty without such a group."""
        return self.captures[int(number) - 1] if int(number) <= len(self.captures) else ""

    def _of_the_request(self) -> Mapping[str, str | None]:
        return {
            "scheme": self.scheme,
            "https": "on" if self.scheme == "https" else "",
            "host": self.host,
            "http_host": self.host,
            "http_user_agent": _USER_AGENT,
            "http_accept": "*/*",
            "http_accept_encoding": None,  # CAs differ
            "http_connection": "close",
            "server_name": self.server_name,
            "server_port": str(self.port),
            "server_protocol": "HTTP/1.1",
            "request_method": "GET",
            "request_uri": self.uri,
            "request": f"GET {self.uri} HTTP/1.1",
            "uri": self.path,
            "document_uri": self.path,
            "args": self.arguments,
            "query_string": self.arguments,
            "is_args": "?" if self.arguments else "",
        }

    def _mapped(self, block: Directive) -> str | None:
        """Return the value of a `map`, whose keys are texts that ignore case, and regular expressions."""
        source = self.expand(block.arguments[0])
        entries = [(one.name, one.arguments[0]) for one in block.block if one.arguments]
        exact = {name.lower().removeprefix("\\"): value for name, value in reversed(entries)}
        fallback = exact.pop("default", "")
        if source is None or any(one.name == "hostnames" for one in block.block):
            return None
        if source.lower() in exact:
            return self.expand(exact[source.lower()])
        for name, value in entries:
            pattern = name.removeprefix("~").removeprefix("*")
            found = name.startswith("~") and self.search(pattern, source, ignores_case=name.startswith("~*"))
            if found is None or found:
                return self.expand(value) if found else None
        return self.expand(fallback)


def _found(text: str) -> list[re.Match[str]]:
    return list(_VARIABLE.finditer(text))
