"""A fleet: an issuer on a host without nginx, its relay, and nodes with an nginx, a responder and an agent each.

All of them are set up by the commands that an administrator runs. Each node has its own address; DNS has several for
every name, so that the CA asks all nodes.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stand.challtestsrv import Challtestsrv
from stand.issuer import Issuer, IssuerSettings
from stand.nginx import Address, NginxServer, NginxSettings, Site
from stand.node import NodeProcess, join, to_toml
from stand.pebble import Pebble, PebbleSettings
from stand.ports import free_port
from stand.processes import StandError
from stand.relay import RelayProcess
from stand.responder import ResponderProcess

_INVITE: Final = "wk1."
_FETCHED_BY: Final = "LetsEncrypt-Pebble-VA"


@dataclass(frozen=True, slots=True)
class FleetNode:
    """A host with nginx and responder; its agent can be stopped and started again."""

    name: str
    nginx: NginxServer
    agent: NodeProcess

    @property
    def https(self) -> Address:
        return self.nginx.settings.https[0]

    def challenges(self) -> int:
        """Return the number of tokens that the CA has fetched here."""
        return self.nginx.access_log.read_text().count(_FETCHED_BY)


@dataclass(slots=True)
class Fleet:
    """Begins with DNS, CA and the issuer's settings; call `listen`, then `join` for each node.

    `stack` ends what they start.
    """

    dns: Challtestsrv
    ca: Pebble
    issuer: Issuer
    relay: RelayProcess
    certificates: Mapping[str, Sequence[str]]
    http_port: int
    folder: Path
    nodes: list[FleetNode] = field(default_factory=list)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    https_port: int = field(default_factory=free_port)

    async def listen(self) -> None:
        """Make the issuer's keys, let nodes dial the relay, and start it."""
        await self.issuer.make_keys()
        listening = (await self.issuer.run_well("fleet", "listen", self.relay.address, "--json")).json()
        self.relay.process.argv += tuple(f"--fleet-key={key}" for key in listening["fleet_keys"])
        await self.stack.enter_async_context(self.relay)

    async def join(self, name: str) -> None:
        """Invite a node, let it join, and start its responder, nginx and agent. No daemon may run yet."""
        folder, host = self.folder / name, f"127.0.0.{len(self.nodes) + 2}"
        async with self._invited(name) as invite:
            settings = await join(folder, invite)
        http, https = (host, self.http_port), (host, self.https_port)
        sites = tuple(
            Site(tuple(names), folder / "certificates/live" / one) for one, names in self.certificates.items()
        )
        served = NginxSettings(folder / "responder/public.sock", (http,), (https,), sites)
        nginx = NginxServer(folder / "nginx", served, f"nginx of {name}")
        trusted = Path(settings["trust_file"])
        responder = ResponderProcess(folder / "responder", trusted, name=f"responder of {name}")
        settings |= {
            "responder": responder.control_address,
            "http_addresses": [f"{host}:{http[1]}"],
            "https_addresses": [f"{host}:{https[1]}"],
            "nginx": {"command": nginx.argv(), "pid_file": str(nginx.pid_path)},
        }
        agent = NodeProcess(folder, to_toml(settings), name=f"agent of {name}")
        for running in (responder, nginx, agent):
            await self.stack.enter_async_context(running)
        self.nodes.append(FleetNode(name, nginx, agent))

    async def resolve_to(self, nodes: Sequence[FleetNode]) -> None:
        """Make DNS return these nodes for all names, in a different order for each: the CA asks the first."""
        hosts = [node.https[0] for node in nodes]
        for number, name in enumerate(name for names in self.certificates.values() for name in names):
            first = number % len(hosts)
            await self.dns.set_addresses(name, *hosts[first:], *hosts[:first])

    @asynccontextmanager
    async def _invited(self, name: str) -> AsyncIterator[str]:
        """Yield the line of an invite; leaving waits until the node has joined."""
        async with self.issuer.running("node", "invite", name) as process:
            if process.stdout is None:
                raise StandError("the issuer was started without pipes")
            async for line in process.stdout:
                if line.decode().startswith(_INVITE):
                    yield line.decode().strip()
                    break
            _, err = await process.communicate()
            if process.returncode:
                raise StandError(f"wellkeeper node invite ended with {process.returncode}: {err.decode()}")


@asynccontextmanager
async def fleet_issuer(folder: Path, certificates: Mapping[str, Sequence[str]]) -> AsyncIterator[Fleet]:
    """Start DNS and CA, and write the issuer's settings. Leaving ends whatever runs."""
    http_port = free_port()
    async with Challtestsrv(folder) as dns, Pebble(folder, PebbleSettings(dns.address, http_port)) as ca:
        issuer, relay = Issuer(folder), RelayProcess(folder / "relay", ())
        # Without nginx, no reload needs a pause after the last one.
        table = (
            "[nginx]",
            "reload_interval_seconds = 0.0",
            "[fleet]",
            f'listen = ["{relay.address}"]',
            f'relay = "unix:{relay.issuer_socket}"',
        )
        issuer.configure(IssuerSettings(ca.directory_url, ca.ca_bundle, certificates, tables=table))
        fleet = Fleet(dns, ca, issuer, relay, certificates, http_port, folder)
        async with fleet.stack:
            yield fleet
