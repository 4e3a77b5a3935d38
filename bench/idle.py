"""Measurement: what the daemon costs while nothing is due: memory, wake-ups, CPU time."""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figures import Plan, Result, Series, Tell
from bench.nothing_due import fresh_issuer
from bench.responder import resident_mib
from stand.daemon import IssuerDaemon
from stand.host import running_host
from stand.issuer import Issuer

NAME: Final = "idle"
_TIMES: Final = 10
# The time until a new daemon is idle: it has checked all certificates once, and collected its garbage.
SETTLE_SECONDS: Final = 15.0
_GROUPS: Final = {"memory (RSS)": "MiB", "wake-ups": "/min", "CPU": "s an hour", "start until it answers": "s"}


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts for all threads of the process since its start."""

    at: float
    switches: int
    cpu_seconds: float


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Watch a daemon with one certificate, and one with ten times as many as in `nothing-due`, once each."""
    many = plan.lineage_count * _TIMES
    series: list[Series] = []
    async with running_host(folder, {"first": ("first.idle.test",)}) as host:
        for count in (1, many):
            tell(f"idle: a daemon with {count} certificates, watched for {plan.idle_seconds} s")
            issuer = await fresh_issuer(host, folder / f"idle{count}", count)
            found = await _watch(issuer, plan.idle_seconds)
            name = f"{count} certificate{'' if count == 1 else 's'}"
            series += [Series(group, name, unit, (found[group],)) for group, unit in _GROUPS.items()]
    ordered = sorted(series, key=lambda one: list(_GROUPS).index(one.group))
    how = (
        f"`wellkeeper run` once it has settled, {plan.idle_seconds} s each; every certificate is fresh and "
        "served. Wake-ups are the voluntary context switches of all its threads, CPU time is from /proc/PID/stat."
    )
    return Result(NAME, "The daemon with nothing due", tuple(ordered), (), (how,))


async def _watch(issuer: Issuer, seconds: float) -> dict[str, float]:
    began = time.monotonic()
    async with IssuerDaemon(issuer) as daemon:
        start_seconds = time.monotonic() - began
        await asyncio.sleep(SETTLE_SECONDS)
        before = await asyncio.to_thread(counts, daemon.pid)
        await asyncio.sleep(seconds)
        after = await asyncio.to_thread(counts, daemon.pid)
        passed = after.at - before.at
        return {
            "memory (RSS)": resident_mib(daemon.pid),
            "wake-ups": (after.switches - before.switches) / passed * 60,
            "CPU": (after.cpu_seconds - before.cpu_seconds) / passed * 3600,
            "start until it answers": start_seconds,
        }


def counts(pid: int) -> Counts:
    """Return the counts of a running process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    switches = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        line = next(line for line in status.read_text().splitlines() if line.startswith("voluntary_ctxt_switches"))
        switches += int(line.split()[1])
    # utime and stime, counted from the third field on (proc(5)).
    return Counts(time.monotonic(), switches, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
