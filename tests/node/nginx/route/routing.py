"""Routes through an nginx.conf with these server blocks and the project's snippets, without a disk."""

from collections.abc import Mapping, Sequence
from typing import Final

from tests.fakes_deliver import dns
from tests.layers import PROJECT
from wellkeeper_node.nginx.configuration import Configuration, parse
from wellkeeper_node.nginx.route.causes import Cause, Causes
from wellkeeper_node.nginx.route.routes import Route, Router

MAIN: Final = "/etc/nginx/nginx.conf"
SNIPPETS: Final = "/etc/nginx/snippets/wellkeeper"
INCLUDE: Final = "include snippets/wellkeeper/challenge.conf;"
UPSTREAM: Final = "include snippets/wellkeeper/upstream.conf;"
BARE: Final = "location ^~ /.well-known/acme-challenge/ { proxy_pass http://wellkeeper_responder; }"
REDIRECT: Final = "return 301 https://$host$request_uri;"


def configured(*blocks: str, http: str = UPSTREAM, files: Mapping[str, str] | None = None) -> Configuration:
    """Return the configuration with these server blocks, each of which begins on a line of its own from line 3 on."""
    servers = "\n".join(f"server {{ {block} }}" for block in blocks)
    texts = {MAIN: f"http {{\n{http}\n{servers}\n}}\n"}
    for name in ("challenge", "upstream", "default_server"):
        texts[f"{SNIPPETS}/{name}.conf"] = (PROJECT / f"nginx/snippets/{name}.conf").read_text()
    texts |= files or {}
    return parse("".join(f"# configuration file {path}:\n{text}\n" for path, text in texts.items()))


def router(*blocks: str, http: str = UPSTREAM) -> Router:
    return Router(configured(*blocks, http=http))


def routes(*blocks: str, name: str = "a.example", family: int = 4, http: str = UPSTREAM) -> Sequence[Route]:
    return router(*blocks, http=http).routes(dns(name), family)


def route(*blocks: str, name: str = "a.example", family: int = 4, http: str = UPSTREAM) -> Route:
    """Return the only route of the name."""
    (found,) = routes(*blocks, name=name, family=family, http=http)
    return found


def cause(*blocks: str, name: str = "a.example", family: int = 4, http: str = UPSTREAM) -> Cause:
    """Return the cause for the only route of the name."""
    made = router(*blocks, http=http)
    (found,) = made.routes(dns(name), family)
    return Causes(made).of(found)
