"""An issuer's host, a relay, and other nodes with their own nginx, responder and agent: all real, as processes."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stand.host import Host, running_host
from stand.issuer import Issuer
from stand.nginx import NginxServer, NginxSettings, Site
from stand.node import NodeProcess
from stand.ports import free_port
from stand.processes import PROGRAMS
from stand.relay import RelayProcess
from stand.responder import ResponderProcess
from tests.fakes_deliver import FakeCa, dns
from tests.integration.observed import installed
from tests.trust_files import trusting
from wellkeeper_client import trust_file
from wellkeeper_client.signing import encode_public_key
from wellkeeper_client.trust_file import Trust
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.model import Identifier, IdentifierType
from wellkeeper_node.probes.probes import NodeProbes


@dataclass(frozen=True, slots=True)
class FleetNode:
    """A node that is not the issuer's host; its certificates are in `folder`/certificates."""

    folder: Path
    nginx: NginxServer
    responder: ResponderProcess
    agent: NodeProcess

    async def served(self, name: str) -> str | None:
        """Return the fingerprint of the leaf that its nginx serves for this name; None if it refuses the handshake."""
        address = self.nginx.settings.https[0]
        found = await NodeProbes().handshake(address, Identifier(IdentifierType.DNS, name))
        return None if found is None else found.fingerprint_sha256

    async def until_served(self, name: str, leaf: str) -> None:
        """Wait until it serves this leaf; the time-out of the test is the limit."""
        while await self.served(name) != leaf:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)

    async def until_it_serves_that_of(self, issuer: Issuer, lineage: str, name: str) -> None:
        """Wait until it serves what the issuer has then: it may renew again by itself meanwhile."""
        while await self.served(name) != installed(issuer, lineage):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The issuer's host and the other nodes, by name."""

    host: Host
    relay: RelayProcess
    nodes: Mapping[str, FleetNode]
    fleet_keys: tuple[str, ...]


@asynccontextmanager
async def running_fleet(
    folder: Path,
    certificates: Mapping[str, Sequence[str]],
    names: Sequence[str],
    **of_the_ca: Any,  # noqa: ANN401 - as running_host
) -> AsyncIterator[Fleet]:
    """Run it all; the nodes begin with certificates of another CA."""
    async with running_host(folder, certificates, **of_the_ca) as host, AsyncExitStack() as stack:
        keys = FleetKeys(host.issuer.state_dir)
        keys.make()
        fleet_keys = tuple(encode_public_key(key) for key in keys.trusted)
        relay = await stack.enter_async_context(RelayProcess(folder / "relay", fleet_keys))
        table = ("[fleet]", f'listen = ["{relay.address}"]', f'relay = "unix:{relay.issuer_socket}"')
        host.issuer.configure(replace(host.issuer_settings, tables=table))
        trusted = trust_file.read(host.issuer.trust_path) | Trust(fleet_keys=fleet_keys)
        nodes = {}
        for name in names:
            await _enrol(host, name, folder / name)
            trust = trusting(folder / name / "trust", trusted)
            nodes[name] = node = await _node(folder / name, relay, trust, certificates)
            for process in (node.responder, node.nginx, node.agent):
                await stack.enter_async_context(process)
        yield Fleet(host, relay, nodes, fleet_keys)


async def _enrol(host: Host, name: str, folder: Path) -> None:
    """Enrol the node as configuration management does, which repeats it."""
    command = (str(PROGRAMS / "wellkeeper-node"), "init", f"--state-dir={folder}/state")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    line, _ = await process.communicate()
    for words in (f"added {name}", f"kept {name}, which was enrolled already"):
        assert (await host.issuer.run_well("node", "add", name, line.decode().strip())).out == f"{words}\n"


async def _node(
    folder: Path, relay: RelayProcess, trusted: Path, certificates: Mapping[str, Sequence[str]]
) -> FleetNode:
    http, https = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    folders, ca = CertificateFolders(folder / "certificates"), FakeCa(datetime.now(UTC))
    for lineage, names in certificates.items():
        await folders.switch(lineage, await folders.write(lineage, ca.pair(*map(dns, names))))
    sites = tuple(Site(tuple(names), folder / "certificates/live" / one) for one, names in certificates.items())
    settings = NginxSettings(folder / "responder/public.sock", (http,), (https,), sites)
    nginx = NginxServer(folder / "nginx", settings, f"nginx-{folder.name}")
    responder = ResponderProcess(folder / "responder", trusted, name=f"responder-{folder.name}")
    lines = f"""\
name = "{folder.name}"
relays = ["{relay.address}"]
state_dir = "{folder}/state"
certificates_dir = "{folder}/certificates"
responder = "{responder.control_address}"
trust_file = "{trusted}"
http_addresses = ["{http[0]}:{http[1]}"]
https_addresses = ["{https[0]}:{https[1]}"]
[nginx]
command = {nginx.argv()}
pid_file = "{nginx.pid_path}"
"""
    return FleetNode(folder, nginx, responder, NodeProcess(folder, lines))
