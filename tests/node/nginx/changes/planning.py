"""Plans for an nginx.conf with these files, without a disk."""

from collections.abc import Mapping, Sequence

from wellkeeper_node.nginx.changes.in_use import Working
from wellkeeper_node.nginx.changes.plan import Plan, propose
from wellkeeper_node.nginx.changes.server_block import Host
from wellkeeper_node.nginx.changes.targets import Paths, Target
from wellkeeper_node.nginx.configuration import parse

MAIN = "/etc/nginx/nginx.conf"
SITE = "/etc/nginx/sites-enabled/site"
UPSTREAM = "/etc/nginx/conf.d/wellkeeper.conf"
LIVE = "/var/lib/wellkeeper/certificates/live/www.example.org"
OLD = "/etc/letsencrypt/live/www.example.org"
PATHS = Paths(f"{LIVE}/fullchain.pem", f"{LIVE}/privkey.pem")
SNIPPETS: Mapping[str, str] = {
    "/etc/nginx/snippets/wellkeeper/challenge.conf": (
        "location ^~ /.well-known/acme-challenge/ {\n    proxy_pass http://wellkeeper_responder;\n}\n"
    ),
    "/etc/nginx/snippets/wellkeeper/tls.conf": "ssl_protocols TLSv1.2 TLSv1.3;\n",
    "/etc/nginx/snippets/wellkeeper/upstream.conf": "upstream wellkeeper_responder {\n    server unix:/s;\n}\n",
}
NGINX_CONF = "events { }\nhttp {\n    include conf.d/*.conf;\n    include sites-enabled/*;\n}\n"
WITH_UPSTREAM = {UPSTREAM: "include snippets/wellkeeper/upstream.conf;\n"}


def planned(files: Mapping[str, str], *names: str, on: Host | None = None, main: str = NGINX_CONF) -> Plan:
    """Return the changes that a certificate for these names needs."""
    return proposed(files, [Target(names or ("www.example.org",), PATHS)], on=on or Host(), main=main)


def proposed(
    files: Mapping[str, str],
    targets: Sequence[Target],
    working: Working | None = None,
    *,
    on: Host | None = None,
    main: str = NGINX_CONF,
) -> Plan:
    """Return the changes that these certificates need."""
    every = {MAIN: main, **SNIPPETS, **files}
    dump = "".join(f"# configuration file {path}:\n{text}\n" for path, text in every.items())
    return propose(parse(dump), every, targets, on or Host(), working or {})


def target(name: str) -> Target:
    """Return a certificate for NAME.example with its own files."""
    return Target((f"{name}.example",), Paths(f"/live/{name}", f"/key/{name}"))


def filled(text: str) -> str:
    return text.replace("{live}", LIVE).replace("{old}", OLD)


def after(plan: Plan, path: str = SITE) -> str:
    return plan.changes[path][1]
