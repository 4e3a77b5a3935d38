"""Measurement: a new node gets many certificates: from the start of its agent until its nginx serves all of them."""

import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from bench.figures import Plan, Result, Series, Tell
from bench.fleet.issuer import FleetIssuer, until
from bench.fleet.lineages import install, names, prepared_nginx
from bench.fleet.places import Place, new_place, write_trust
from bench.responder import Signer
from stand.node import NodeProcess
from stand.relay import RelayProcess
from wellkeeper_client.signing import encode_public_key
from wellkeeper_client.trust_file import Trust
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_node.agent.report import CertificateState

NAME: Final = "fleet-newcomer"
_NODE: Final = "wellkeeper-node"
SERVED_SECONDS: Final = 600.0


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Let one new node after another get all certificates."""
    lineages = names(plan.bulk_count)
    places = [new_place(folder, f"node{number}", answers=False) for number in range(plan.bulk_rounds)]
    issuer = FleetIssuer(folder / "issuer")
    relay = RelayProcess(folder / "relay", (issuer.public_fleet_key,))
    seconds = []
    await install(issuer.certificates, lineages)
    async with relay, issuer.at_work(relay, {one.name: one.body for one in places}, lineages) as fleet:
        for number, place in enumerate(places):
            tell(f"fleet-newcomer: node {number + 1} of {len(places)}, {len(lineages)} certificates")
            seconds.append(await caught_up(fleet, relay, place, lineages))
    group = f"{len(lineages)} certificates for a new node"
    note = (
        "From the start of `wellkeeper-node run` until it has reported all as served: fetched, opened, installed "
        "durably, loaded by an nginx with a server block for each, and verified by handshakes."
    )
    return Result(NAME, "A new node", (Series(group, _NODE, "s", tuple(seconds)),), (), (note,))


async def caught_up(fleet: Fleet, relay: RelayProcess, place: Place, lineages: list[str]) -> float:
    """Start the agent of a node that has other certificates, and return the seconds until all are served."""
    signer, fleet_key = Signer.new(), fleet.distribution.fleet_key
    keys = [encode_public_key(key.public_key()) for key in (signer.key, fleet_key)]
    trusted = write_trust(place.folder, Trust((signer.thumbprint,), tuple(keys[:1]), tuple(keys[1:])))
    async with AsyncExitStack() as stack:
        nginx = await stack.enter_async_context(await prepared_nginx(place, lineages))
        began = time.monotonic()
        await stack.enter_async_context(NodeProcess(place.folder, place.toml(relay.address, trusted, nginx)))
        await until(fleet, f"{place.name} serves all", lambda: _serves_all(fleet, place, lineages), SERVED_SECONDS)
        return time.monotonic() - began


def _serves_all(fleet: Fleet, place: Place, lineages: list[str]) -> bool:
    report = fleet.reports.of(place.name)
    found = report.certificates if report else {}
    return all(name in found and found[name].state is CertificateState.SERVED for name in lineages)
