"""Other ACME clients in nginx's configuration."""

import pytest

from tests.node.doctor.dumps import FILE, configured
from wellkeeper_node.doctor.clients import check_clients
from wellkeeper_node.findings import Verdict
from wellkeeper_node.nginx.configuration import parse

LIVE = {"www.example.org": "/certs/live/web", "example.org": "/certs/live/web"}


@pytest.mark.parametrize(
    ("line", "client"),
    [
        ("ssl_certificate /etc/letsencrypt/live/web/fullchain.pem;", "of certbot"),
        ("ssl_certificate /root/.acme.sh/web_ecc/fullchain.cer;", "of acme.sh"),
        ("ssl_certificate /var/lib/dehydrated/certs/web/fullchain.pem;", "of dehydrated"),
        ("acme_certificate letsencrypt;", "nginx's own ACME module obtains"),
        ("acme client;", "Angie's own ACME module obtains"),
    ],
)
async def test_other_client_of_our_name_is_named_with_its_line(line: str, client: str) -> None:
    (found,) = await check_clients(configured("server {", "server_name WWW.example.org;", line, "}"), LIVE)
    assert (found.verdict, found.subject, found.place) == (Verdict.WARN, "www.example.org", f"{FILE}:4")
    assert client in found.cause
    assert "'ssl_certificate /certs/live/web/fullchain.pem;'" in found.fix


CERTBOT = "ssl_certificate /etc/letsencrypt/live/web/fullchain.pem;"
OWN = "server { listen 443 ssl; server_name example.org www.example.org; ssl_certificate /certs/live/web/c.pem; }"


@pytest.mark.parametrize(
    "words", ["*.example.org", ".example.org", "~^www\\.", "www.example.*", "a.example ~^(?<sub>w+)\\.example\\.org$"]
)
async def test_block_that_matches_the_name_is_named(words: str) -> None:
    given = configured("server {", f"listen 443 ssl; server_name {words};", CERTBOT, "}")
    (found,) = await check_clients(given, {"www.example.org": "/certs/live/web"})
    assert (found.verdict, found.subject, found.place) == (Verdict.WARN, "www.example.org", f"{FILE}:4")


async def test_inherited_certificate_is_named_with_the_block_that_needs_its_own() -> None:
    given = configured(CERTBOT, "server {", "listen 443 ssl;", "server_name www.example.org;", "}")
    (found,) = await check_clients(given, LIVE)
    assert (found.verdict, found.place) == (Verdict.WARN, f"{FILE}:3")
    assert "of certbot" in found.cause
    assert "'ssl_certificate /certs/live/web/fullchain.pem;' into this server block" in found.fix


async def test_block_on_port_80_does_not_hide_one_with_tls() -> None:
    plain = "server { listen 80; server_name www.example.org; return 301 https://$host$request_uri; }"
    given = configured(plain, "server {", "listen 443 ssl; server_name *.example.org;", CERTBOT, "}")
    assert [one.place for one in await check_clients(given, LIVE)] == [f"{FILE}:5"]


async def test_servers_of_mail_count() -> None:
    block = f"server {{ listen 993 ssl; server_name www.example.org; {CERTBOT} }}"
    given = parse(f"# configuration file {FILE}:\nhttp {{ }}\nmail {{\n{block}\n}}\n")
    assert [one.verdict for one in await check_clients(given, LIVE)] == [Verdict.WARN]


@pytest.mark.parametrize(
    "block",
    [
        f"server {{ listen 443 ssl; server_name *.example.org; {CERTBOT} }} {OWN}",
        f"{CERTBOT} server {{ listen 80; server_name www.example.org; }}",
        f"{CERTBOT} {OWN}",
        "server { server_name other.example; ssl_certificate /etc/letsencrypt/live/other/fullchain.pem; }",
        "server { server_name www.example.org; ssl_certificate /certs/live/web/fullchain.pem; listen 443 ssl; }",
        "server { listen 80; }",
        "upstream web { server 127.0.0.1:80; }",
    ],
    ids=[
        "a better match",
        "no TLS",
        "its own certificate",
        "other names",
        "our certificate",
        "no name",
        "a server of an upstream",
    ],
)
async def test_everything_else_is_ok(block: str) -> None:
    (found,) = await check_clients(configured(block), LIVE)
    assert (found.check, found.verdict) == ("other-clients", Verdict.OK)
