"""docs/migration.md on booted machines with Debian's certbot: every block of commands as it is written."""

import asyncio
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from stand.challtestsrv import Challtestsrv
from stand.machine import Machine
from stand.pebble import Pebble, PebbleSettings
from tests.integration.observed import issued
from tests.systemd.pages import Page, edited, replaced
from tests.systemd.server import CA_BUNDLE, NAME, Server

pytestmark = [pytest.mark.integration, pytest.mark.booted, pytest.mark.timeout(600)]

WEBROOT: Final = "location /.well-known/acme-challenge/ { root /var/www/well-known; }"
SITE: Final = "/etc/nginx/sites-available/www"
HTTP: Final = f"server {{ listen 80; server_name {NAME}; {WEBROOT} }}\n"
HTTPS: Final = f"""\
server {{
    listen 443 ssl;
    server_name {NAME};
    ssl_certificate /etc/letsencrypt/live/{NAME}/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/{NAME}/privkey.pem;
}}
"""
CERTBOT: Final = (
    f"certbot certonly --non-interactive --agree-tos --register-unsafely-without-email --domain {NAME}"
    ' --webroot -w /var/www/well-known --deploy-hook "systemctl reload nginx"'
)


@pytest.fixture
async def ca(folder: Path) -> AsyncIterator[Pebble]:
    """Yield a CA that rejects no nonce: certbot gives up on some."""
    async with (
        Challtestsrv(folder) as dns,
        Pebble(folder, PebbleSettings(dns.address, 80, nonces_rejected_percent=0)) as running,
    ):
        yield running


@pytest.fixture
async def server(machine: Machine, ca: Pebble) -> Server:
    """Return a machine with our package, and a site with a certificate of certbot's, which its timer renews."""
    server = Server(machine, ca)
    await server.trust_ca()
    await machine.write(SITE, HTTP)
    await machine.shell(f"mkdir -p /var/www/well-known; ln -s {SITE} /etc/nginx/sites-enabled/; systemctl reload nginx")
    await machine.shell(f"REQUESTS_CA_BUNDLE={CA_BUNDLE} {CERTBOT} --server {shlex.quote(server.directory_url)}")
    await machine.write(SITE, HTTP + HTTPS)
    await machine.shell("nginx -t; systemctl reload nginx; systemctl enable --now certbot.timer")
    return server


async def test_commands_of_the_page_on_migration_keep_the_certificate_of_certbot(server: Server, ca: Pebble) -> None:
    machine, page = server.machine, Page("docs/migration.md")
    serial = await server.until_served()
    page.next("nginx/snippets")  # the package has them
    init = replaced(page.next("import certbot"), "--agree-to-terms-of-service", server.ca_options)
    assert NAME in await machine.shell(init)
    await machine.shell(page.next("import certbot --apply"))
    assert not await server.is_active("certbot.timer")
    await machine.shell(page.next("sed -i"))
    edit = f"sed -i 's#{WEBROOT}#include snippets/wellkeeper/challenge.conf;#' {SITE}"
    await machine.shell(edited(page.next("enable --now wellkeeper-responder"), edit))
    assert f"{NAME}: served" in await machine.shell(page.next("wellkeeper rehearse"))
    page.end()
    assert await server.served() == serial
    assert "/etc/letsencrypt" not in await machine.shell("nginx -T")
    assert await asyncio.to_thread(issued, ca) == 1
    await machine.run_well("wellkeeper", "renew", NAME, "--force")
    assert await server.served() != serial
