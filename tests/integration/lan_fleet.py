"""A fleet on a private network: an issuer's host, and nodes with their own addresses, ports 80 and 443, and programs.

All is real: nginx, responder and agent of each node, relay, issuer, CA. The test, the issuer and the CA are the first
host, whose own nginx is the node `local`.
"""

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from stand.fault_proxy import FaultProxy
from stand.host import Host, running_host
from stand.issuer import Finished
from stand.lan import Lan, LanHost
from stand.nginx import NginxServer, NginxSettings, Site
from stand.node import NodeProcess
from stand.relay import RelayProcess
from stand.relay_proxy import RelayProxy
from stand.responder import ResponderProcess
from tests.fakes_deliver import FakeCa, dns
from tests.integration.observed import installed, outcomes, tokens
from tests.trust_files import trusting
from wellkeeper_client import trust_file
from wellkeeper_client.signing import encode_public_key
from wellkeeper_client.trust_file import Trust
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.state.state import JOURNAL, open_state
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_node.agent.keys import NodeKeys
from wellkeeper_node.bundles import content
from wellkeeper_node.certificates.folders import CertificateFolders

NAME: Final = "www.example.org"
LINEAGE: Final = "web"
_HANDSHAKE_SECONDS: Final = 4.0


@dataclass(frozen=True, slots=True)
class LanNode:
    """A node; its programs run."""

    name: str
    host: LanHost
    nginx: NginxServer
    responder: ResponderProcess
    agent: NodeProcess

    async def serves(self, leaf: str) -> None:
        """Wait until it serves this leaf; the time-out of the test is the limit."""
        while await handshake(self.host.address) != leaf:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)

    async def has_tokens(self, count: int) -> None:
        while await tokens(self.responder) != count:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


@dataclass(frozen=True, slots=True)
class LanFleet:
    """All runs but a daemon. `proxy` is between the relay and all others, `ca` between issuer and CA."""

    host: Host
    relay: RelayProcess
    proxy: RelayProxy
    nodes: dict[str, LanNode]

    @property
    def ca(self) -> FaultProxy:
        assert self.host.proxy is not None
        return self.host.proxy

    async def renew(self, *arguments: str) -> Finished:
        return await self.host.issuer.run("renew", LINEAGE, "--json", *arguments)

    async def renewed(self, *arguments: str) -> None:
        """Renew; all nodes must serve the new certificate, and none keep a token."""
        finished = await self.renew(*arguments)
        assert (finished.exit_code, outcomes(finished)) == (0, {LINEAGE: "served"}), finished
        await self.is_served()

    async def is_served(self, *nodes: str) -> None:
        for node in [self.nodes[name] for name in nodes or self.nodes]:
            await node.serves(installed(self.host.issuer, LINEAGE))
            await node.has_tokens(0)

    async def is_reported(self) -> None:
        """Wait until `status --nodes` says that all nodes have everything; the time-out of the test is the limit."""
        while {(one["current"], one["concern"]) for one in (await self.status()).values()} != {(1, None)}:  # noqa: ASYNC110
            await asyncio.sleep(0.5)

    async def status(self) -> dict[str, dict[str, Any]]:
        """Return what `status --nodes --json` says, by node."""
        found = (await self.host.issuer.run("status", "--nodes", "--json")).json()["nodes"]
        return {one["name"]: one for one in found}


async def handshake(address: str) -> str:
    """Return the fingerprint of the leaf that nginx serves at the address. Raises OSError."""
    return await asyncio.to_thread(_handshake, address)


def _handshake(address: str) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((address, 443), timeout=_HANDSHAKE_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=NAME) as tls,
    ):
        return hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest()


@asynccontextmanager
async def running_lan(lan: Lan, folder: Path, names: Sequence[str] = ("web2", "web3")) -> AsyncIterator[LanFleet]:
    """Run the fleet; DNS sends the CA to all its nodes."""
    certificates, http, https = {LINEAGE: [NAME]}, (lan.address, 80), (lan.address, 443)
    async with (
        running_host(folder, certificates, has_proxy=True, http=http, https=https) as host,
        AsyncExitStack() as stack,
    ):
        keys = FleetKeys(host.issuer.state_dir)
        keys.make()
        fleet_keys = tuple(encode_public_key(key) for key in keys.trusted)
        relay = await stack.enter_async_context(RelayProcess(folder / "relay", fleet_keys, lan.address))
        proxy = await stack.enter_async_context(RelayProxy(folder / "proxy", relay))
        table = ("[fleet]", f'listen = ["{proxy.address}"]', f'relay = "unix:{proxy.issuer_socket}"')
        host.issuer.configure(replace(host.issuer_settings, tables=table, reload_interval_seconds=0.5))
        trusted = trust_file.read(host.issuer.trust_path) | Trust(fleet_keys=fleet_keys)
        nodes = {}
        for name in names:
            await _enrol(host, name, folder / name)
            trust = trusting(folder / name / "trust", trusted)
            nodes[name] = await _run(stack, lan.host(name), folder / name, proxy.address, trust)
        await host.dns.set_addresses(NAME, lan.address, *(node.host.address for node in nodes.values()))
        yield LanFleet(host, relay, proxy, nodes)


async def _enrol(host: Host, name: str, folder: Path) -> None:
    keys = NodeKeys(folder / "state")
    keys.make()
    public = (content.to_base64url(keys.public.signing_key), content.to_base64url(keys.public.sealing_key))
    async with open_state(host.issuer.state_dir / JOURNAL, may_write=True) as state:
        await state.fleet.record_node(EnrolledNode(name, *public, ("*",), True, datetime.now(UTC)))


async def _run(stack: AsyncExitStack, host: LanHost, folder: Path, relay: str, trust: Path) -> LanNode:
    """Start a node, whose nginx begins with a certificate of another CA, and listens at all its addresses."""
    folders = CertificateFolders(folder / "certificates")
    await folders.switch(LINEAGE, await folders.write(LINEAGE, FakeCa(datetime.now(UTC)).pair(dns(NAME))))
    responder = ResponderProcess(folder / "responder", trust, name=f"responder-{folder.name}")
    site = Site((NAME,), folder / "certificates/live" / LINEAGE)
    everywhere = (("0.0.0.0", 80),), (("0.0.0.0", 443),)  # noqa: S104 - of a private network
    nginx_settings = NginxSettings(responder.public_socket, *everywhere, (site,))
    nginx = NginxServer(folder / "nginx", nginx_settings, f"nginx-{folder.name}", host)
    settings = f"""\
name = "{folder.name}"
relays = ["{relay}"]
state_dir = "{folder}/state"
certificates_dir = "{folder}/certificates"
responder = "{responder.control_address}"
trust_file = "{trust}"
http_addresses = ["{host.address}:80"]
https_addresses = ["{host.address}:443"]
[nginx]
command = {nginx.argv()}
pid_file = "{nginx.pid_path}"
"""
    agent = NodeProcess(folder, settings, entering=host.entering)
    for one in (responder, nginx, agent):
        await stack.enter_async_context(one)
    return LanNode(folder.name, host, nginx, responder, agent)
