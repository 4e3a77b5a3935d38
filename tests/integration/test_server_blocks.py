"""Eighteen common contents of server blocks, and what the CA reads with the unmodified challenge.conf.

Comments show what it reads with a bare `location /.well-known/acme-challenge/ { proxy_pass … }` instead. What the
snippet cannot fix (a `return` outside of locations) is in nginx/README.md.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from stand.nginx import NginxServer, NginxSettings
from tests.integration.nodes import publish, responding
from tests.responder.http import Reply, ask
from tests.responder.messages import THUMBPRINT, TOKEN
from wellkeeper_client import wire
from wellkeeper_responder.settings import TcpAddress

pytestmark = [pytest.mark.integration, pytest.mark.nginx]

REDIRECT: Final = "return 301 https://$host$request_uri;"
PASSWORD: Final = 'auth_basic "staff"; auth_basic_user_file /dev/null;'
DOT_FILES: Final = r"location ~ /\. { deny all; }"
CACHE: Final = "proxy_cache cache; proxy_cache_valid any 10m; proxy_ignore_headers Cache-Control Expires;"
CHALLENGE: Final = wire.CHALLENGE_PREFIX + TOKEN
PAGE: Final = b"hello\n"


@dataclass(frozen=True)
class Block:
    """Contents of a server block or around it, and the statuses without and with the token; then 200 is the token."""

    in_server: str = ""
    without: int = 404
    with_token: int = 200
    in_http: str = ""
    location: str = 'return 200 "hello\\n";'
    method: str = "GET"
    path: str = CHALLENGE
    # The body that is read instead of the token.
    page: bytes | None = None
    has_responder: bool = True


BLOCKS: Final = {
    # 403: a regular expression beats a plain prefix.
    "1 regular expression against dot files": Block(f"location /.well-known/ {{ deny all; }} {DOT_FILES}"),
    "2 regular expression and another ^~": Block(f"location ^~ /.well-known/ {{ deny all; }} {DOT_FILES}"),
    "3 return": Block(REDIRECT, 301, 301),
    "4 if and return": Block(f"if ($scheme = http) {{ {REDIRECT} }}", 301, 301),
    "5 return in location /": Block(location=REDIRECT),
    # 401.
    "6 auth_basic": Block(PASSWORD),
    "7 auth_basic and deny": Block(f"{PASSWORD} deny all;"),
    # 403.
    "8 deny": Block("deny all;"),
    # 404 for ten minutes after a request that came too early.
    "9 proxy_cache of everything": Block(CACHE, in_http="proxy_cache_path {folder}/cache keys_zone=cache:1m;"),
    "10 exact location": Block(f"location = {CHALLENGE} {{ return 410; }}", 410, 410),
    "10 longer ^~": Block(f"location ^~ {CHALLENGE[:-3]} {{ return 410; }}", 410, 410),
    "11 method other than GET": Block(without=403, with_token=403, method="POST"),
    "12 path that nginx normalises": Block(path=CHALLENGE.replace("acme-", "x/..//acme%2D")),
    "13 unix socket": Block(),
    # 502.
    "14 missing unix socket": Block(with_token=404, has_responder=False),
    "15 rewrite": Block("rewrite ^ /index.php last;", page=PAGE, without=200),
    # 403.
    "16 auth_request": Block("auth_request /auth; location = /auth { return 403; }"),
    "17 auth_request and satisfy all": Block("satisfy all; auth_request /auth; location = /auth { return 403; }"),
    # A miss becomes a page with status 200.
    "18 error page that hides 404": Block("error_page 404 =200 /soft; proxy_intercept_errors on;"),
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
async def test_ca_reads_the_token_through_the_server_block(folder: Path, http_port: int, block: Block) -> None:
    plain = NginxSettings(folder / "public.sock", http=(("127.0.0.1", http_port),))
    settings = replace(
        plain, in_server=block.in_server, in_http=block.in_http.format(folder=folder), location=block.location
    )

    async def read() -> Reply:
        return await ask(TcpAddress("127.0.0.1", http_port), block.method, block.path)

    async with NginxServer(folder / "nginx", settings):
        if not block.has_responder:
            reply = await read()
            assert (reply.status, reply.headers[wire.UPSTREAM_HEADER]) == (block.with_token, "502")
            return
        async with responding(folder):
            assert (await read()).status == block.without
            await publish(folder)
            reply = await read()
    assert reply.status == block.with_token
    is_token = block.with_token == 200 and block.page is None
    assert (reply.body == f"{TOKEN}.{THUMBPRINT}".encode()) is is_token
    assert block.page is None or reply.body == block.page
