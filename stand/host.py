"""A complete host: DNS, ACME server, responder, nginx and issuer as separate processes."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stand.challtestsrv import Challtestsrv
from stand.distance import DistantServer
from stand.fault_proxy import FaultProxy
from stand.issuer import Issuer, IssuerSettings, NodeUnderTest
from stand.nginx import Address, NginxServer, NginxSettings, Site
from stand.nginx_agent import Container, NginxWithAgent, Shell
from stand.pebble import Pebble, PebbleSettings
from stand.ports import free_port
from stand.processes import PROGRAMS
from stand.responder import PROGRAM, ResponderProcess


@dataclass(frozen=True, slots=True)
class Host:
    """All servers run; the certificates are placeholders until the issuer renews them.

    `proxy` and `distant` are between the issuer and the CA, if there are any.
    """

    dns: Challtestsrv
    ca: Pebble
    issuer: Issuer
    issuer_settings: IssuerSettings
    responder: ResponderProcess
    nginx: NginxServer
    proxy: FaultProxy | None = None
    distant: DistantServer | None = None

    @property
    def directory_url(self) -> str:
        """Return the CA's directory at the address that clients use."""
        return self.distant.url if self.distant else (self.proxy or self.ca).directory_url

    @property
    def http(self) -> Address:
        return self.nginx.settings.http[0]

    @property
    def https(self) -> Address:
        return self.nginx.settings.https[0]


@asynccontextmanager
async def running_host(  # noqa: PLR0913 - all that differs between hosts
    folder: Path,
    certificates: Mapping[str, Sequence[str]],
    *,
    has_proxy: bool = False,
    one_way_seconds: float = 0.0,
    own_programs: Path = PROGRAMS,
    http: Address | None = None,
    https: Address | None = None,
    agent_shell: Shell | None = None,
    **of_the_ca: Any,  # noqa: ANN401 - whatever PebbleSettings has
) -> AsyncIterator[Host]:
    """Start a host in the order of a real set-up: keys, responder, placeholders, nginx. End it in reverse.

    `own_programs` is the directory of the programs under test. `of_the_ca` are arguments of `PebbleSettings`.
    `one_way_seconds` is the delay between clients and the CA. nginx listens on free ports, or at `http` and `https`.
    With `agent_shell` it is reached through the agent beside it, which this shell runs.
    """
    http, https = http or ("127.0.0.1", free_port()), https or ("127.0.0.1", free_port())
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(Challtestsrv(folder))
        ca = await stack.enter_async_context(Pebble(folder, PebbleSettings(dns.address, http[1], **of_the_ca)))
        proxy = await stack.enter_async_context(FaultProxy(folder, ca)) if has_proxy else None
        asked = proxy or ca
        distant = None
        if one_way_seconds:
            distant = await stack.enter_async_context(DistantServer(asked.directory_url, one_way_seconds))
        issuer = Issuer(folder, own_programs)
        sockets = folder / "responder"
        sites = tuple(Site(tuple(names), issuer.live(name)) for name, names in certificates.items())
        nginx = _nginx(folder, NginxSettings(sockets / "public.sock", (http,), (https,), sites), agent_shell)
        node = NodeUnderTest("local", f"unix:{sockets}/control.sock", http, https)
        directory_url = distant.url if distant else asked.directory_url
        settings = _settings(directory_url, asked.ca_bundle, certificates, node, nginx)
        issuer.configure(settings)
        await issuer.make_keys()
        await issuer.run_well("placeholder")
        trusted = issuer.trust_path
        async with ResponderProcess(sockets, trusted, program=own_programs / PROGRAM) as responder, nginx:
            yield Host(dns, ca, issuer, settings, responder, nginx, proxy, distant)


def _nginx(folder: Path, settings: NginxSettings, agent_shell: Shell | None) -> NginxServer:
    if agent_shell is None:
        return NginxServer(folder / "nginx", settings)
    return NginxWithAgent(folder / "nginx", settings, Container(agent_shell))


def _settings(
    directory_url: str, bundle: Path, certificates: Mapping[str, Sequence[str]], node: NodeUnderTest, nginx: NginxServer
) -> IssuerSettings:
    agent = nginx.agent_folder if isinstance(nginx, NginxWithAgent) else None
    return IssuerSettings(directory_url, bundle, certificates, (node,), nginx.argv(), nginx.pid_path, agent)
