"""Nodes that need special addressing: behind PROXY protocol, or at an address that is not loopback."""

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from stand.certificates import make_server_certificate
from stand.host import Host, running_host
from stand.nginx import Address, NginxServer, NginxSettings, Site
from tests.fakes_deliver import dns
from tests.integration.balancer import balancing
from tests.integration.nodes import responding
from tests.integration.observed import fetches, installed, outcomes, reconfigure, tokens
from tests.responder.messages import THUMBPRINT, TOKEN
from wellkeeper_node.errors import VerifyError
from wellkeeper_node.model import Answer, Node, ReadBack
from wellkeeper_node.probes.probes import NodeProbes

pytestmark = pytest.mark.integration

NAME: Final = "www.example.org"
ANSWER: Final = Answer(TOKEN, THUMBPRINT, dns("a.example"))
_SIOCSIFADDR: Final = 0x8916
_SIOCSIFFLAGS: Final = 0x8914


@pytest.fixture
def settings(folder: Path, http_port: int, https_port: int) -> NginxSettings:
    """Return settings in which every port requires PROXY protocol; the second address of each kind is IPv6."""
    made = make_server_certificate(folder / "tls", ("a.example",))
    return NginxSettings(
        folder / "public.sock",
        http=(("127.0.0.1", http_port), ("::1", http_port)),
        https=(("127.0.0.1", https_port), ("::1", https_port)),
        sites=(Site(("a.example",), made.certificate.parent),),
        listen_flags="proxy_protocol",
    )


async def read_backs(settings: NginxSettings, *, speaks_proxy_protocol: bool) -> tuple[ReadBack, ...]:
    node = Node("edge-1", "", settings.http, settings.https, speaks_proxy_protocol)
    return await NodeProbes().read_back(node, ANSWER)


@pytest.mark.parametrize(
    "in_server", ["", "if ($scheme = http) { return 301 https://$host$request_uri; }"], ids=["plain", "over https"]
)
async def test_token_is_read_back_over_proxy_protocol(folder: Path, settings: NginxSettings, in_server: str) -> None:
    async with responding(folder, TOKEN), NginxServer(folder / "nginx", replace(settings, in_server=in_server)):
        results = await read_backs(settings, speaks_proxy_protocol=True)
        assert [result.cause for result in results] == [None, None]


async def test_node_not_configured_for_proxy_protocol_is_explained(folder: Path, settings: NginxSettings) -> None:
    async with responding(folder, TOKEN), NginxServer(folder / "nginx", settings):
        for result in await read_backs(settings, speaks_proxy_protocol=False):
            assert "set proxy_protocol = true for 'listen … proxy_protocol'" in result.remedy


async def test_node_without_proxy_protocol_is_explained(folder: Path, settings: NginxSettings) -> None:
    async with responding(folder, TOKEN), NginxServer(folder / "nginx", replace(settings, listen_flags="")):
        for result in await read_backs(settings, speaks_proxy_protocol=True):
            assert (
                "Set http_addresses to a plain HTTP port, and proxy_protocol as in its 'listen' line, then"
                in result.remedy
            )


async def test_closed_port_and_refused_handshake_are_distinguished_over_proxy_protocol(
    folder: Path, settings: NginxSettings
) -> None:
    listen = " ".join(
        f"listen {host}:{settings.https[0][1]} ssl default_server proxy_protocol;" for host in ("127.0.0.1", "[::1]")
    )
    refusing = replace(
        settings,
        in_http=f"server {{ {listen} ssl_reject_handshake on; }}",
        in_server="if ($scheme = http) { return 301 https://$host$request_uri; }",
        sites=(),
    )
    async with responding(folder, TOKEN):
        for result in await read_backs(settings, speaks_proxy_protocol=True):
            assert "connection refused: nothing listens there" in str(result.cause)
        async with NginxServer(folder / "nginx", refusing):
            for result in await read_backs(settings, speaks_proxy_protocol=True):
                assert "the TLS handshake failed after a redirect to https" in str(result.cause)


async def test_handshake_is_made_over_proxy_protocol(folder: Path, settings: NginxSettings) -> None:
    async with NginxServer(folder / "nginx", settings):
        for address in settings.https:
            leaf = await NodeProbes(speaks_proxy_protocol=True).handshake(address, ANSWER.identifier)
            assert leaf is not None
            assert leaf.identifiers == {ANSWER.identifier}
            with pytest.raises(VerifyError, match="closed"):
                await NodeProbes().handshake(address, ANSWER.identifier)


async def move(host: Host, address: str, *, speaks_proxy_protocol: bool) -> None:
    """Move nginx, and its node in the issuer's settings, to the address; keep the ports."""
    http, https = (address, host.http[1]), (address, host.https[1])
    flags = "proxy_protocol" if speaks_proxy_protocol else ""
    (node,) = host.issuer_settings.nodes
    moved = replace(node, http_address=http, https_address=https, proxy_protocol=speaks_proxy_protocol)
    host.issuer.configure(replace(host.issuer_settings, nodes=(moved,)))
    await reconfigure(host.nginx, replace(host.nginx.settings, http=(http,), https=(https,), listen_flags=flags))


async def serves(host: Host) -> None:
    """Run a pass that must end served, with a fetch by the CA."""
    finished = await host.issuer.run("renew", "--json")
    assert (finished.exit_code, outcomes(finished)) == (0, {"web": "served"}), finished
    (reported,) = finished.json()["certificates"]
    assert reported["served_fingerprint_sha256"] == installed(host.issuer, "web")
    assert {one["status"] for one in await fetches(host.responder)} == {200}
    assert await tokens(host.responder) == 0


async def test_host_behind_a_load_balancer_obtains_and_serves(folder: Path) -> None:
    """Let the CA and browsers come through the balancer while the issuer asks nginx itself."""
    async with running_host(folder, {"web": [NAME]}) as host:
        http, https = host.http, host.https
        await move(host, "127.0.0.2", speaks_proxy_protocol=True)
        async with balancing(http, ("127.0.0.2", http[1])), balancing(https, ("127.0.0.2", https[1])):
            await serves(host)


@pytest.fixture
def outer_address() -> Iterator[str]:
    """Yield an address of this machine that is not loopback: one made for the test, else an existing one.

    Nothing leaves the machine: it is a second address of the loopback device.
    """
    # A separate network (of RFC 2544), because the kernel removes an address with the first one of its network.
    made = f"198.18.{os.getpid() % 250}.77"
    name = f"lo:wk{os.getpid() % 250}".encode()
    address = struct.pack("16sH2s4s8s", name, socket.AF_INET, b"", socket.inet_aton(made), b"")
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as control:
        try:
            fcntl.ioctl(control, _SIOCSIFADDR, address)
        except PermissionError:
            yield _own_address()
            return
        try:
            yield made
        finally:
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14s", name, 0, b""))


def _own_address() -> str:
    """Return an address from the kernel's table of local addresses."""
    lines = Path("/proc/net/fib_trie").read_text().splitlines()
    local = [before.split()[-1] for before, line in pairwise(lines) if "host LOCAL" in line]
    return next(address for address in local if not address.startswith("127."))


async def test_host_at_an_address_that_is_not_loopback_obtains_and_serves(folder: Path, outer_address: str) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        await host.dns.set_default_address(outer_address)
        await move(host, outer_address, speaks_proxy_protocol=False)
        await serves(host)
        assert {one["client_address"] for one in await fetches(host.responder)} == {outer_address}


async def test_wrong_address_in_the_settings_is_reported(folder: Path, outer_address: str) -> None:
    async with running_host(folder, {"web": [NAME]}) as host:
        wrong: Address = (outer_address, host.http[1])
        (node,) = host.issuer_settings.nodes
        host.issuer.configure(replace(host.issuer_settings, nodes=(replace(node, http_address=wrong),)))
        finished = await host.issuer.run("renew")
        assert finished.exit_code == 1
        assert f"node 'local' at {outer_address}:{wrong[1]}: http://{NAME}/" in finished.out
        assert "connection refused: nothing listens there" in finished.out
        assert 'set read_back = "advisory", then run' in finished.out
