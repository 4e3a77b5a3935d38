"""Three large configurations of nginx, with all names that their routes are compared for."""

import re
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "nginx_configurations"
_KINDS: Final = 8
_COUNT: Final = 200
_REDIRECT: Final = "return 301 https://$host$request_uri;"
_APPLICATION: Final = "location / { proxy_pass http://application; proxy_set_header Host $host; }"


def reverse_proxy() -> str:
    """Return a reverse proxy with 200 virtual hosts, in eight ways of configuring them."""
    shared = (
        "upstream application { server unix:FOLDER/application.sock; keepalive 8; }\n"
        'map $http_upgrade $connection_upgrade { default upgrade; "" close; }\n'
        "proxy_cache_path FOLDER/cache keys_zone=pages:1m;\nserver_names_hash_max_size 2048;\n"
        "server { listen PORT80 default_server; listen [::]:PORT80 default_server; server_name _; return 421; }\n"
        "server { listen PORT443 ssl default_server; listen [::]:PORT443 ssl default_server; server_name _;"
        " ssl_certificate TLS/fullchain.pem; ssl_certificate_key TLS/privkey.pem; return 421; }\n"
    )
    return shared + "".join(_virtual_host(number) for number in range(_COUNT))


def _virtual_host(number: int) -> str:
    """Return the blocks of one virtual host."""
    name = f"v{number}.proxy.example"
    listen = "listen PORT80; listen [::]:PORT80;"
    tls = (
        f"server {{ listen PORT443 ssl; listen [::]:PORT443 ssl; server_name {name}; ssl_certificate TLS/fullchain.pem;"
        " ssl_certificate_key TLS/privkey.pem; %s }\n"
    )
    include = "include SNIPPETS/challenge.conf;"
    http, https = {
        0: (f"{include} {_APPLICATION}", None),
        1: (f"{include} location / {{ {_REDIRECT} }}", _APPLICATION),
        2: (_REDIRECT, f"{include} {_APPLICATION}"),
        3: (_REDIRECT, _APPLICATION),
        4: (_APPLICATION, None),
        5: (f"{include} proxy_cache pages; proxy_cache_valid any 1m; {_APPLICATION}", None),
        6: (f"location ^~ /.well-known/acme-challenge/ {{ proxy_pass http://127.0.0.1:9; }} {_APPLICATION}", None),
        7: (
            f"{include} auth_request /auth; location = /auth {{ proxy_pass http://application; }} {_APPLICATION}",
            None,
        ),
    }[number % _KINDS]
    listen = listen if number % 10 else "listen PORT80;"
    block = f"server {{ {listen} server_name {name}; {http} }}\n"
    return block if https is None else block + tls % https


CONFIGURATIONS: Final = {
    "cms": (_FOLDER / "cms.conf").read_text(),
    "static": (_FOLDER / "static.conf").read_text(),
    "reverse proxy": reverse_proxy(),
}


def names(text: str) -> list[str]:
    """Return the names of all blocks, examples for their patterns, and one without a block."""
    words = [word for found in re.findall(r"server_name ([^;]+);", text) for word in found.split()]
    plain = [word for word in words if re.fullmatch(r"[a-z0-9.]+[a-z]", word) and not word.startswith(".")]
    patterns = ("x.wild.example", "a.b.wild.example", "one.tenants.example", "9.tenants.example", "dotted.example")
    return [*dict.fromkeys(plain), *patterns, "sub.dotted.example", "mail.example", "unknown.example"]
