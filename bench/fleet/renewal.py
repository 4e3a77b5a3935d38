"""Measurement: a renewal by the daemon, from the chain on the issuer's disk until the last of N nodes serves it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.ca import dns
from bench.figures import Plan, Result, Series, Tell
from bench.fleet.issuer import enrolled
from bench.fleet.lineages import prepared_nginx
from bench.fleet.places import Place, new_place, write_trust
from bench.renewals import Subject, finished, identity, of_issuer
from stand.daemon import IssuerDaemon
from stand.host import Host, running_host
from stand.nginx import Address
from stand.node import NodeProcess
from stand.relay import RelayProcess
from stand.responder import ResponderProcess
from wellkeeper_client import trust_file
from wellkeeper_client.signing import encode_public_key
from wellkeeper_client.trust_file import Trust
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.state.state import JOURNAL, open_state
from wellkeeper_node.certificates import reading
from wellkeeper_node.probes.probes import NodeProbes

NAME: Final = "fleet-renewal"
_NODES: Final = (3, 20)
_CERTIFICATE: Final = "www.bench.test"
_WARM_UPS: Final = 2
# An agent reloads its nginx at most every five seconds.
_PAUSE_SECONDS: Final = 6.0
_LOOK_SECONDS: Final = 0.004
_ASK_SECONDS: Final = 0.02
_SERVED_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Renewed:
    """Seconds since the command began, and since the chain was on the issuer's disk until it was served."""

    command: float
    here: float
    last: float


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Renew in rounds, for each number of nodes."""
    series: list[Series] = []
    for count in _NODES:
        tell(f"fleet-renewal: starting {count} nodes")
        (folder / str(count)).mkdir()
        async with _running(folder / str(count), count) as (host, places):
            found = []
            for number in range(_WARM_UPS + plan.rounds):
                what = f"round {number + 1 - _WARM_UPS} of {plan.rounds}" if number >= _WARM_UPS else "not counted"
                tell(f"fleet-renewal: {count} nodes, {what}")
                found.append(await _renewed(host, places))
                await asyncio.sleep(_PAUSE_SECONDS)
        counted, group = found[_WARM_UPS:], f"renewed until served, {count} nodes"
        series += [
            Series(group, "on the issuer's host", "s", tuple(one.here for one in counted)),
            Series(group, "on the last node", "s", tuple(one.last for one in counted)),
            Series(group, "the command `renew`", "s", tuple(one.command for one in counted)),
        ]
    note = (
        "`renew NAME` while `wellkeeper run` runs. Each node has an agent, a responder and an nginx of its own, as "
        "processes. The time begins when the new chain is on the issuer's disk, and ends with the benchmark's own "
        "handshakes. Agents wait for up to 0.3 s at random before they fetch a bundle. The command, from its start, "
        "publishes the token to all nodes, too, and does not wait for them to serve the certificate."
    )
    return Result(NAME, "A renewal on N nodes", tuple(series), (), (note,))


async def _renewed(host: Host, places: Sequence[Place]) -> _Renewed:
    subject = of_issuer("wellkeeper", host, _CERTIFICATE)
    before, began = identity(subject.fullchain), time.monotonic()
    running = asyncio.ensure_future(_ended(subject))
    while not running.done() and identity(subject.fullchain) == before:
        await asyncio.wait([running], timeout=_LOOK_SECONDS)
    on_disk = time.monotonic()
    leaf = reading.read_certificate(await asyncio.to_thread(subject.fullchain.read_bytes)).fingerprint_sha256
    addresses = (host.https, *(one.https for one in places))
    async with asyncio.timeout(_SERVED_SECONDS):
        here, *nodes = await asyncio.gather(*(_served(address, leaf) for address in addresses))
    ended = await running
    return _Renewed(ended - began, here - on_disk, max(nodes) - on_disk)


async def _ended(subject: Subject) -> float:
    """Return when the command has ended."""
    await finished(await subject.start(), subject)
    return time.monotonic()


async def _served(address: Address, leaf: str) -> float:
    """Return when the address serves the certificate. Handshakes are few, so that they slow down nothing."""
    probes = NodeProbes()
    while True:
        found = await probes.handshake(address, dns(_CERTIFICATE))
        if found is not None and found.fingerprint_sha256 == leaf:
            return time.monotonic()
        await asyncio.sleep(_ASK_SECONDS)


@asynccontextmanager
async def _running(folder: Path, count: int) -> AsyncIterator[tuple[Host, list[Place]]]:
    """Run a host whose daemon has a relay, and nodes that have joined."""
    certificates = {_CERTIFICATE: (_CERTIFICATE,)}
    async with (
        running_host(folder, certificates, nonces_rejected_percent=0, retry_after_seconds=0) as host,
        AsyncExitStack() as stack,
    ):
        keys = FleetKeys(host.issuer.state_dir)
        keys.make()
        public = tuple(encode_public_key(key) for key in keys.trusted)
        relay = await stack.enter_async_context(RelayProcess(folder / "relay", public))
        table = ("[fleet]", f'listen = ["{relay.address}"]', f'relay = "unix:{relay.issuer_socket}"')
        host.issuer.configure(replace(host.issuer_settings, reload_interval_seconds=0.0, tables=table))
        places = [new_place(folder, f"node{number}") for number in range(count)]
        async with open_state(host.issuer.state_dir / JOURNAL, may_write=True) as state:
            for one in places:
                await state.fleet.record_node(enrolled(one.name, one.body))
        trust = trust_file.read(host.issuer.trust_path) | Trust(fleet_keys=public)
        await asyncio.gather(*(_start(stack, relay, one, trust) for one in places))
        await stack.enter_async_context(IssuerDaemon(host.issuer))
        yield host, places


async def _start(stack: AsyncExitStack, relay: RelayProcess, place: Place, trust: Trust) -> None:
    trusted = write_trust(place.folder, trust)
    await stack.enter_async_context(ResponderProcess(place.folder, trusted, name=place.name))
    nginx = await stack.enter_async_context(await prepared_nginx(place, [_CERTIFICATE]))
    await stack.enter_async_context(NodeProcess(place.folder, place.toml(relay.address, trusted, nginx)))
