"""An nginx with TLS in front of a node's responder, and load on it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.fleet.nodes import RunningNodes
from bench.wrk import Run, Scheme, wrk
from stand.certificates import make_server_certificate
from stand.nginx import Address, NginxServer, NginxSettings, Site
from stand.ports import free_port
from wellkeeper_client import wire

_NAME: Final = "www.bench.test"
_LOOPBACK: Final = "127.0.0.1"
_GROUPS: Final[Mapping[str, Scheme]] = {"tokens served": "http", "TLS handshakes": "https"}


@dataclass(frozen=True, slots=True)
class Front:
    """Its addresses, and the file with the paths that are requested; `groups` name what is measured."""

    addresses: Mapping[Scheme, Address]
    paths: Path
    groups: Mapping[str, Scheme]

    async def load(self, scheme: Scheme, seconds: int) -> Run:
        """Request the tokens over a new connection each time."""
        return await wrk(self.addresses[scheme], self.paths, "close", seconds, scheme)


@asynccontextmanager
async def running_front(folder: Path, nodes: RunningNodes, token: str) -> AsyncIterator[Front]:
    """Serve a token that the first node holds."""
    live = folder / "live"
    make_server_certificate(live, (_NAME,))
    addresses: dict[Scheme, Address] = {"http": (_LOOPBACK, free_port()), "https": (_LOOPBACK, free_port())}
    settings = NginxSettings(
        nodes.places[0].public_socket,
        (addresses["http"],),
        (addresses["https"],),
        (Site((_NAME,), live),),
        in_server="access_log off;",
        worker_count=1,
    )
    paths = folder / "paths"
    paths.write_text(f"{wire.CHALLENGE_PREFIX}{token}\n")
    async with NginxServer(folder / "nginx", settings):
        yield Front(addresses, paths, _GROUPS)
