"""Several nodes behind one name: each with an nginx and a responder, at its own address, on one HTTP port."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stand.challtestsrv import Challtestsrv
from stand.host import Host
from stand.issuer import Issuer, IssuerSettings, NodeUnderTest
from stand.nginx import NginxServer, NginxSettings, Site
from stand.pebble import Pebble, PebbleSettings
from stand.ports import free_port
from stand.responder import ResponderProcess

NAME: Final = "www.example.org"
LINEAGE: Final = "web"


@dataclass(frozen=True, slots=True)
class Edge:
    """One node."""

    name: str
    address: str
    nginx: NginxServer
    responder: ResponderProcess


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet whose issuer delivers the certificate on the first node and sends tokens to all.

    `trust` has the publishing key and thumbprint that responders are started with.
    """

    dns: Challtestsrv
    ca: Pebble
    issuer: Issuer
    edges: tuple[Edge, ...]
    issuer_settings: IssuerSettings

    @property
    def first(self) -> Host:
        one = self.edges[0]
        return Host(self.dns, self.ca, self.issuer, self.issuer_settings, one.responder, one.nginx)


@asynccontextmanager
async def running_fleet(folder: Path, count: int) -> AsyncIterator[Fleet]:
    """Run nodes `edge-1` at 127.0.0.2, and so on; DNS sends the CA to the first one at the start."""
    http_port, https_port = free_port(), free_port()
    issuer = Issuer(folder)
    addresses = [f"127.0.0.{number + 2}" for number in range(count)]
    names = [f"edge-{number + 1}" for number in range(count)]
    servers: list[NginxServer] = []
    for name, address in zip(names, addresses, strict=True):
        https = ((address, https_port),) if not servers else ()
        sites = (Site((NAME,), issuer.live(LINEAGE)),) if https else ()
        settings = NginxSettings(folder / name / "public.sock", ((address, http_port),), https, sites)
        servers.append(NginxServer(folder / f"nginx-{name}", settings, name=f"nginx-{name}"))
    nodes = tuple(
        NodeUnderTest(name, f"unix:{folder}/{name}/control.sock", (address, http_port), (address, https_port))
        for name, address in zip(names, addresses, strict=True)
    )
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(Challtestsrv(folder))
        await dns.set_default_address(addresses[0])
        ca = await stack.enter_async_context(Pebble(folder, PebbleSettings(dns.address, http_port)))
        reported = IssuerSettings(
            ca.directory_url, ca.ca_bundle, {LINEAGE: [NAME]}, nodes, servers[0].argv(), servers[0].pid_path
        )
        issuer.configure(reported)
        await issuer.make_keys()
        await issuer.run_well("placeholder")
        edges = []
        for name, address, server in zip(names, addresses, servers, strict=True):
            responder = await stack.enter_async_context(ResponderProcess(folder / name, issuer.trust_path, name=name))
            edges.append(Edge(name, address, await stack.enter_async_context(server), responder))
        yield Fleet(dns, ca, issuer, tuple(edges), reported)
