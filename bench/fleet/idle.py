"""Measurement: what idle nodes cost: memory and CPU time of agents, and of the relay for each of them."""

import asyncio
from pathlib import Path
from typing import Final

from bench.figures import Plan, Result, Series, Tell, at_most
from bench.fleet.nodes import RunningNodes, how, running_nodes
from bench.idle import SETTLE_SECONDS
from bench.responder import resident_mib

NAME: Final = "fleet-idle"
_NODES: Final = (20, 100)
_AGENT: Final = "wellkeeper-node"


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Watch 20 agents with their relay, and the relay alone with 100."""
    series: list[Series] = []
    for count in _NODES:
        tell(f"fleet-idle: {count} nodes, watched for {plan.idle_seconds} s")
        async with running_nodes(folder / str(count), count) as nodes:
            await asyncio.sleep(SETTLE_SECONDS)
            series += await _watch(nodes, plan.idle_seconds)
    goal = at_most(series[0], 64)
    note = (
        f"{plan.idle_seconds} s each, once everything has settled; a value for each agent. PSS counts a part of the "
        "memory that processes share (/proc/PID/smaps_rollup). The relay's memory per node is what it has more than "
        f"before the first one came. {'; '.join(map(how, _NODES))}. All are connected, and report each minute."
    )
    return Result(NAME, "Idle nodes", tuple(series), (goal,), (note,))


async def _watch(nodes: RunningNodes, seconds: float) -> list[Series]:
    agents, relay = [one.process.pid for one in nodes.agents], nodes.relay.process.pid
    before = {pid: cpu_seconds(pid) for pid in (*agents, relay)}
    await asyncio.sleep(seconds)
    hourly = {pid: (cpu_seconds(pid) - before[pid]) / seconds * 3600 for pid in before}
    return [*_agents(agents, hourly), *_relay(nodes, hourly[relay])]


def _agents(pids: list[int], hourly: dict[int, float]) -> list[Series]:
    if not pids:
        return []
    return [
        Series("idle agent, memory (RSS)", _AGENT, "MiB", tuple(map(resident_mib, pids))),
        Series("idle agent, memory (PSS)", _AGENT, "MiB", tuple(map(shared_mib, pids))),
        Series("idle agent, CPU", _AGENT, "s an hour", tuple(hourly[pid] for pid in pids)),
    ]


def _relay(nodes: RunningNodes, hourly: float) -> list[Series]:
    count, mib = len(nodes.places), resident_mib(nodes.relay.process.pid)
    name = f"wellkeeper-relay, {count} nodes"
    return [
        Series("relay, memory (RSS)", name, "MiB", (mib,)),
        Series("relay, memory per node", name, "KiB", ((mib - nodes.relay_alone_mib) / count * 1024,)),
        Series("relay, CPU per node", name, "s an hour", (hourly / count,)),
    ]


def shared_mib(pid: int) -> float:
    """Return the proportional set size of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of the threads of a process, in nanoseconds from the scheduler: ticks are too coarse."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(one.read_text().split()[0]) for one in threads) / 1e9
