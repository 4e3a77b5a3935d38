"""Booted machines that reach each other through a private network, and a CA that reaches them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stand.challtestsrv import Challtestsrv
from stand.lan import Lan
from stand.machine import Machine
from stand.nginx import nginx_program
from stand.pebble import Pebble, PebbleSettings
from stand.processes import Process, Running, accepts
from tests.systemd.server import NAME, SITE, Server

_BALANCER: Final = "balancer"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Servers by the name of their node. The CA finds every name at the first one, unless `dns` says otherwise.

    `balanced` is the first server as clients of the balancer see it.
    """

    folder: Path
    dns: Challtestsrv
    servers: Mapping[str, Server]
    balanced: Server
    entering: tuple[str, ...]

    def __getitem__(self, name: str) -> Server:
        return self.servers[name]

    def balancer(self, streams: str) -> "Balancer":
        return Balancer(self.folder / _BALANCER, streams, self.balanced.address, self.entering)


class Balancer(Running):
    """An nginx on a host of its own, with this block for streams."""

    def __init__(self, folder: Path, streams: str, address: str, entering: tuple[str, ...]) -> None:
        self._address = address
        folder.mkdir()
        configuration = folder / "nginx.conf"
        module = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;"
        configuration.write_text(f"daemon off;\npid {folder}/nginx.pid;\n{module}\nevents {{}}\n{streams}")
        argv = [*entering, nginx_program(), "-e", "stderr", "-p", f"{folder}/", "-c", str(configuration)]
        self.process = Process(_BALANCER, argv, folder / "log")

    async def is_ready(self) -> bool:
        return await accepts(self._address, 80)


@asynccontextmanager
async def running_fleet(folder: Path, trees: tuple[Path, ...], *names: str) -> AsyncIterator[Fleet]:
    """Boot machines at 10.0.0.1, 10.0.0.2, and so on. The first one has this thread's network, where the CA is."""
    async with AsyncExitStack() as stack:
        lan = stack.enter_context(Lan("10.0.0"))
        hosts = {name: lan.host(name) for name in (*names[1:], _BALANCER)}
        addresses = {names[0]: lan.address, **{name: host.address for name, host in hosts.items()}}
        dns = await stack.enter_async_context(Challtestsrv(folder))
        await dns.set_default_address(lan.address)
        ca = await stack.enter_async_context(Pebble(folder, PebbleSettings(dns.address, 80)))
        entering = {name: host.entering for name, host in hosts.items()}
        machines = {name: Machine(folder / name, *trees, entering=entering.get(name, ())) for name in names}
        await asyncio.gather(*(stack.enter_async_context(one) for one in machines.values()))
        servers = {name: Server(one, ca, address=addresses[name]) for name, one in machines.items()}
        balanced = Server(machines[names[0]], ca, address=addresses[_BALANCER])
        yield Fleet(folder, dns, servers, balanced, entering[_BALANCER])


def invite_in(shown: str) -> str:
    return shown[shown.index("wk1.") :].strip()


async def join(server: Server, shown: str) -> None:
    """Join with the invite that `node invite` showed, in a script."""
    await server.machine.run_well("wellkeeper-node", "join", stdin=f"{invite_in(shown)}\n".encode())


async def leave(fleet: Fleet, server: Server, name: str) -> None:
    await server.machine.run_well("wellkeeper-node", "leave", "--yes")
    await fleet["web1"].machine.run_well("wellkeeper", "node", "remove", name, "--yes")


async def use_site(server: Server, block: str) -> None:
    await server.machine.write(SITE, block)
    await server.machine.shell("nginx -t && systemctl reload nginx")


async def renew(server: Server) -> str:
    """Renew on the issuer's host, and return the serial number."""
    await server.machine.run_well("wellkeeper", "renew", NAME, "--force")
    return await server.until_served()


async def until_serves(server: Server, serial: str) -> None:
    """Wait until the node serves this certificate; the time-out of the test is the limit."""
    while await server.served() != serial:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.2)


async def until_complete(server: Server) -> None:
    """Wait until the agent has reported that nothing is missing on its node."""
    await server.until("wellkeeper-node status")
