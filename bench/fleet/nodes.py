"""Run a relay and N nodes with their responders and agents, behind one nginx with a port for each node."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.fleet.issuer import FleetIssuer, until_all_report
from bench.fleet.places import Place, new_place, servers, write_trust
from bench.responder import Signer, resident_mib
from stand.nginx import NginxServer, NginxSettings
from stand.node import NodeProcess
from stand.processes import PROJECT, Process, accepts
from stand.relay import RelayProcess
from stand.responder import INSTALLED
from wellkeeper_client import records
from wellkeeper_client.signing import encode_public_key
from wellkeeper_client.trust_file import Trust
from wellkeeper_issuer.fleet.distribution import node_record
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_node.agent.kept_engine import FILE as KEPT_ENGINE
from wellkeeper_node.bundles import content
from wellkeeper_node.bundles.engine_access import EngineAccess, seal_access

# Up to this number, each agent and each responder is a process of its own.
_MOST_PROCESSES: Final = 20
_HOSTS: Final = 4
_START_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class RunningNodes:
    """All nodes have reported. `agents` are processes of one agent each; none if several nodes share a process.

    `relay_alone_mib` is the memory of the relay before any node came.
    """

    fleet: Fleet
    relay: RelayProcess
    relay_alone_mib: float
    places: tuple[Place, ...]
    signer: Signer
    agents: tuple[NodeProcess, ...]


def how(count: int) -> str:
    """Return how so many nodes run, for the notes."""
    if count <= _MOST_PROCESSES:
        return f"{count} nodes: a process for each agent and each responder"
    return f"{count} nodes: agents and responders are the same code, in {_HOSTS} processes"


@asynccontextmanager
async def running_nodes(
    folder: Path, count: int, most_processes: int = _MOST_PROCESSES, engine: EngineAccess | None = None
) -> AsyncIterator[RunningNodes]:
    """Start everything, and wait for the first reports. More than `most_processes` nodes share a few processes.

    With an `engine`, which runs, nodes follow it beside the relay.
    """
    signer, issuer = Signer.new(), FleetIssuer(folder / "issuer")
    places = tuple(new_place(folder, f"node{number}") for number in range(count))
    trust = Trust((signer.thumbprint,), (encode_public_key(signer.key.public_key()),), (issuer.public_fleet_key,))
    trusted = write_trust(folder, trust)
    relay = RelayProcess(folder / "relay", trust.fleet_keys)
    settings = NginxSettings(folder / "none.sock", (), in_http=servers(places), worker_count=1)
    nginx = NginxServer(folder / "nginx", settings)
    for one in places:
        one.settings.write_text(one.toml(relay.address, trusted, nginx))
        if engine is not None:
            (one.settings.parent / "state" / KEPT_ENGINE).write_text(_node_record(one, engine, issuer))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(relay)
        bodies = {one.name: one.body for one in places}
        fleet = await stack.enter_async_context(issuer.at_work(relay, bodies, engine=engine))
        alone = resident_mib(relay.process.pid)
        agents = await _start(stack, places, signer, is_shared=count > most_processes)
        await stack.enter_async_context(nginx)
        await until_all_report(fleet)
        yield RunningNodes(fleet, relay, alone, places, signer, agents)


def _node_record(place: Place, engine: EngineAccess, issuer: FleetIssuer) -> str:
    """Return what a node keeps once it has learned of the engine; otherwise its agent would start twice."""
    sealed = seal_access(engine, place.name, content.from_base64url(place.body.sealing_key))
    record = node_record(place.name, replace(place.body, engine=sealed), int(time.time()))
    return records.sign(record, issuer.fleet_key)


async def _start(
    stack: AsyncExitStack, places: Sequence[Place], signer: Signer, *, is_shared: bool
) -> tuple[NodeProcess, ...]:
    if is_shared:
        shares = [share for number in range(_HOSTS) if (share := places[number::_HOSTS])]
        await asyncio.gather(*(_start_host(stack, number, share, signer) for number, share in enumerate(shares)))
        return ()
    await asyncio.gather(*(_start_responder(stack, one, signer) for one in places))
    agents = tuple(NodeProcess(one.folder, one.settings.read_text()) for one in places)
    await asyncio.gather(*(_started(stack, one.process, one) for one in agents))
    return agents


async def _started(stack: AsyncExitStack, process: Process, node: NodeProcess) -> None:
    stack.push_async_callback(process.stop)
    await process.start(node.is_ready, _START_SECONDS)


async def _start_responder(stack: AsyncExitStack, place: Place, signer: Signer) -> None:
    argv = [str(INSTALLED), "--public", f"unix:{place.public_socket}", "--control", f"unix:{place.control_socket}"]
    argv += ["--control", f"{place.control[0]}:{place.control[1]}", *_trust(signer)]
    await _start_process(stack, Process(f"responder of {place.name}", argv, place.folder / "responder.log"), [place])


async def _start_host(stack: AsyncExitStack, number: int, places: Sequence[Place], signer: Signer) -> None:
    argv = [sys.executable, "-m", "bench.fleet.hosted", *_trust(signer)]
    argv += [f"{one.folder}:{one.control[1]}" for one in places]
    log = places[0].folder.parent / f"hosted{number}.log"
    await _start_process(stack, Process(f"nodes {number}", argv, log, {"PYTHONPATH": str(PROJECT)}), places)


async def _start_process(stack: AsyncExitStack, process: Process, places: Sequence[Place]) -> None:
    async def is_ready() -> bool:
        return await accepts(*places[-1].control)

    stack.push_async_callback(process.stop)
    await process.start(is_ready, _START_SECONDS)


def _trust(signer: Signer) -> list[str]:
    key = encode_public_key(signer.key.public_key())
    return ["--publishing-key", key, "--account-thumbprint", signer.thumbprint]
