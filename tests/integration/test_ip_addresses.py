"""Certificates for IP addresses of both families, with the unmodified snippet of the default server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from stand.host import Host, running_host
from stand.nginx import SNIPPETS
from tests.integration.observed import fetches, installed, outcomes, reconfigure, tokens
from tests.responder.http import ask
from tests.responder.messages import TOKEN
from wellkeeper_client import wire
from wellkeeper_node.model import Identifier, IdentifierType
from wellkeeper_node.probes.probes import NodeProbes
from wellkeeper_responder.settings import TcpAddress

pytestmark = pytest.mark.integration

V4: Final = "127.0.0.1"
V6: Final = "::1"


@asynccontextmanager
async def addressed_host(folder: Path) -> AsyncIterator[Host]:
    """Run a host with a certificate for each of two addresses, in the default server of that address."""
    async with running_host(folder, {"v4": [V4], "v6": [V6]}) as host:
        (_, http), (_, https) = host.http, host.https
        include = host.nginx.config_path.with_name("snippets") / "wellkeeper"
        include.parent.mkdir()
        include.symlink_to(SNIPPETS)
        servers = f"server {{ listen {V4}:{http} default_server; listen [{V6}]:{http} default_server;"
        servers += " include snippets/wellkeeper/default_server.conf; }\n"
        for name, address in (("v4", V4), ("v6", f"[{V6}]")):
            live = host.issuer.live(name)
            servers += f"server {{ listen {address}:{https} ssl default_server; include {SNIPPETS}/tls.conf;"
            servers += f" ssl_certificate {live}/fullchain.pem; ssl_certificate_key {live}/privkey.pem; }}\n"
        # The stand's own server blocks are removed, except the one for its readiness check.
        settings = host.nginx.settings
        await reconfigure(host.nginx, replace(settings, http=(), https=(), sites=(), in_http=servers))
        host.nginx.settings = settings
        text = host.issuer.config_path.read_text()
        for port in (http, https):
            text = text.replace(f'"{V4}:{port}"', f'"{V4}:{port}", "[{V6}]:{port}"')
        host.issuer.config_path.write_text(text)
        yield host


async def leaf(address: str, port: int) -> str:
    """Return the fingerprint of the leaf served to a client without a server name."""
    found = await NodeProbes().handshake((address, port), Identifier(IdentifierType.IP, address))
    assert found
    return found.fingerprint_sha256


async def test_addresses_of_both_families_are_validated_and_served(folder: Path) -> None:
    async with addressed_host(folder) as host:
        finished = await host.issuer.run("renew", "--json")
        assert outcomes(finished) == {"v4": "served", "v6": "served"}, finished
        assert await leaf(V4, host.https[1]) == installed(host.issuer, "v4")
        assert await leaf(V6, host.https[1]) == installed(host.issuer, "v6")
        assert {one["host"] for one in await fetches(host.responder)} == {V4, f"[{V6}]"}
        assert await tokens(host.responder) == 0


async def test_default_server_serves_only_tokens(folder: Path) -> None:
    async with addressed_host(folder) as host:
        site = TcpAddress(V4, host.http[1])
        assert (await ask(site, "GET", "/")).status == 404
        unknown = await ask(site, "GET", wire.CHALLENGE_PREFIX + TOKEN)
        assert (unknown.status, unknown.body) == (404, wire.NO_SUCH_TOKEN.encode())
