"""Measurement: a thousand certificates for twenty nodes: seal and store them, the relay's memory, a node catches up."""

import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Final

from bench.figures import Plan, Result, Series, Tell
from bench.fleet.issuer import FleetIssuer
from bench.fleet.lineages import install, names
from bench.fleet.newcomer import caught_up
from bench.fleet.places import new_place
from bench.responder import cpu_seconds, peak_mib, resident_mib
from stand.relay import RelayProcess

NAME: Final = "fleet-many"
_NODES: Final = 20
_RENEWED: Final = 10


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Measure each once, with an issuer that has everything on disk and an empty relay."""
    lineages, group = names(plan.lineage_count), f"{plan.lineage_count} certificates, {_NODES} nodes"
    places = [new_place(folder, f"node{number}", answers=False) for number in range(_NODES)]
    bodies = {one.name: one.body for one in places}
    issuer = FleetIssuer(folder / "issuer")
    tell(f"fleet-many: {group}; writing them")
    await install(issuer.certificates, lineages)
    values: list[tuple[str, str, float]] = []
    async with RelayProcess(folder / "relay", (issuer.public_fleet_key,)) as relay:
        alone = resident_mib(relay.process.pid)
        cpu = time.process_time(), cpu_seconds(relay.process.pid)
        began = time.monotonic()
        async with issuer.at_work(relay, bodies, lineages) as fleet:
            values += [
                ("seal and store all", "s", time.monotonic() - began),
                ("seal and store all, CPU of the issuer", "s", time.process_time() - cpu[0]),
                ("seal and store all, CPU of the relay", "s", cpu_seconds(relay.process.pid) - cpu[1]),
                ("memory of the relay (RSS)", "MiB", resident_mib(relay.process.pid)),
                ("memory of the relay (RSS), empty", "MiB", alone),
            ]
            tell(f"fleet-many: {_RENEWED} renewals")
            await install(issuer.certificates, lineages[:_RENEWED])
            offers = [await _seconds(fleet.distribution.offer(one)) for one in lineages[:_RENEWED]]
            tell("fleet-many: a node catches up")
            values.append(("a node serves all", "s", await caught_up(fleet, relay, places[0], lineages)))
            values.append(("peak memory of the relay (RSS)", "MiB", peak_mib(relay.process.pid)))
    series = [Series(group, name, unit, (value,)) for name, unit, value in values]
    series.insert(1, Series(group, "seal and store one more version", "s", tuple(offers)))
    note = (
        "Seal and store: from the start of an issuer, with all certificates on disk and none sealed, until an empty "
        "relay has bundles, wraps and manifest, which the issuer has on disk, too. One more version: the same for one "
        "renewal. A node serves all: as for a new node, above. Agents of the other nodes do not run."
    )
    return Result(NAME, f"{plan.lineage_count} certificates × {_NODES} nodes", tuple(series), (), (note,))


async def _seconds(work: Awaitable[None]) -> float:
    began = time.monotonic()
    await work
    return time.monotonic() - began
