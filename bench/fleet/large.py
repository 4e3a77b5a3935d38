"""Measurement: as many nodes as a listener of a relay has connections for, and as many lineages as a manifest lists.

The relay is a process, the feed and the reports are the issuer's own, in this process; another one plays the nodes.
"""

import asyncio
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Final

from bench.figures import Plan, Result, Series, Tell
from bench.fleet.idle import cpu_seconds
from bench.fleet.playing import Played, PlayedIssuer, issuing, playing
from bench.fleet.shape import Shape
from bench.responder import Signer, peak_mib, resident_mib
from stand.relay import RelayProcess
from wellkeeper_client.signing import encode_public_key
from wellkeeper_node.agent.report import Report

NAME: Final = "fleet-large"
_EACH: Final = 10
# Lineages per one of `Plan.lineage_count`: 3 000 fill a manifest.
_TIMES: Final = 3
_MIB: Final = 1024 * 1024
_SETTLE_SECONDS: Final = 5.0


class Meter:
    """The time and bytes that issuer, relay and nodes use, step by step."""

    def __init__(self, relay: RelayProcess, played: Played | None, group: str) -> None:
        self._pid, self._played, self._group = relay.process.pid, played, group
        self._values: dict[tuple[str, str], list[float]] = {}

    @property
    def series(self) -> list[Series]:
        return [Series(self._group, name, unit, tuple(values)) for (name, unit), values in self._values.items()]

    def note(self, name: str, unit: str, value: float) -> None:
        """Note one more value under this name."""
        self._values.setdefault((name, unit), []).append(value)

    async def step(self, name: str, work: Awaitable[object]) -> None:
        """Do it, and note seconds, CPU time and bytes."""
        before, cpu, own, began = await self._bytes(), cpu_seconds(self._pid), time.process_time(), time.perf_counter()
        await work
        self.note(name, "s", time.perf_counter() - began)
        self.note(f"{name}, CPU of the relay", "s", cpu_seconds(self._pid) - cpu)
        self.note(f"{name}, CPU of the issuer", "s", time.process_time() - own)
        if self._played is not None:
            self.note(f"{name}, relay to nodes and back", "MiB", (await self._bytes() - before) / _MIB)

    async def _bytes(self) -> int:
        found = await self._played.traffic() if self._played else {"sent": 0, "received": 0}
        return found["sent"] + found["received"]


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Store everything, connect all nodes, publish tokens, renew a certificate, and watch the fleet when it is idle."""
    shape = Shape(plan.node_count, _TIMES * plan.lineage_count, _EACH)
    group = f"{shape.nodes} played nodes, {shape.lineages} certificates"
    signer = Signer.new()  # its key is the fleet key, too
    relay = RelayProcess(folder / "relay", (encode_public_key(signer.key.public_key()),))
    async with relay, issuing(shape, relay, signer.key) as issuer:
        tell(f"fleet-large: {group}; storing the records")
        storing = Meter(relay, None, group)
        await storing.step("store all records", issuer.store())
        storing.note("store all records, memory of the relay (RSS)", "MiB", resident_mib(relay.process.pid))
        async with playing(shape, relay) as played:
            meter = Meter(relay, played, group)
            tell("fleet-large: the nodes connect")
            await meter.step("all nodes connect and report", issuer.until_all("connected", lambda _: True))
            meter.note("connections of nodes", "", (await played.traffic())["connections"])
            await _work(plan, issuer, signer, meter, tell)
            meter.note("requests that the relay refused", "", (await played.traffic())["refused"])
            meter.note("peak memory of the relay (RSS)", "MiB", peak_mib(relay.process.pid))
    note = (
        f"Each node gets {_EACH} certificates, and has an address of its own. One process plays all nodes over the "
        "real wire: they hold tokens and certificates at once, and do not verify what they get. Bytes are those of "
        "HTTP, in both directions. The issuer is its feed and reports, without files."
    )
    return Result(NAME, "As many nodes as a relay takes", (*storing.series, *meter.series), (), (note,))


async def _work(plan: Plan, issuer: PlayedIssuer, signer: Signer, meter: Meter, tell: Tell) -> None:
    for number in range(plan.bulk_rounds):
        tell(f"fleet-large: token {number + 1} of {plan.bulk_rounds}")
        await meter.step("a token is held by all", _published(issuer, signer))
    tell("fleet-large: a renewal")
    await meter.step("all nodes have another manifest", _listed(issuer))
    tell(f"fleet-large: idle, watched for {plan.idle_seconds} s")
    await asyncio.sleep(_SETTLE_SECONDS)
    await meter.step("idle", asyncio.sleep(plan.idle_seconds))


async def _published(issuer: PlayedIssuer, signer: Signer) -> None:
    jti = await issuer.publish(signer)

    def holds(report: Report) -> bool:
        return jti in report.publications and report.publications[jti].is_held

    await issuer.until_all("the token is held", holds)


async def _listed(issuer: PlayedIssuer) -> None:
    await issuer.list()
    await issuer.until_all("the manifest has arrived", lambda report: report.manifest >= issuer.number)
