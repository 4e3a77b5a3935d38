"""Measurement: `renew` when nothing is due, beside `certbot renew`: what a timer costs twice a day."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.certbot import LINEAGE, Certbot, find_certbot, running_certbot
from bench.clones import clone_certbot
from bench.figures import Plan, Result, Series, Tell, find, ratio_at_most
from stand.host import Host, running_host
from stand.issuer import Issuer
from stand.processes import PROJECT, StandError, search_path

NAME: Final = "nothing-due"
_TIMES: Final = 10
_GROUP: Final = "renew, nothing due"
_HOW: Final = (
    "Whole processes. certbot's lineages are clones of one that it obtained (files copied, names changed), so that it "
    "sends no requests: it need not ask for renewal info yet, and neither need Wellkeeper. Each of Wellkeeper's "
    "certificates has a key, a schedule and a delivery, written by the issuer's own classes."
)

Run = Callable[[], Awaitable[None]]


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Measure all three in each round."""
    few, many = plan.lineage_count, plan.lineage_count * _TIMES
    seconds: dict[str, list[float]] = {}
    async with (
        running_host(folder, {"first": ("first.due.test",)}, nonces_rejected_percent=0, retry_after_seconds=0) as host,
        running_certbot(folder / "certbot", host, "certbot.due.test") as certbot,
    ):
        tell(f"nothing-due: {few} lineages for certbot, {few} and {many} for the issuer")
        await _obtain_one(certbot)
        await asyncio.to_thread(clone_certbot, certbot.folder / "etc", LINEAGE, few)
        subjects: dict[str, Run] = {
            f"certbot, {few}": lambda: _run_certbot(certbot, few),
            f"wellkeeper, {few}": _runner(await fresh_issuer(host, folder / "few", few), few),
            f"wellkeeper, {many}": _runner(await fresh_issuer(host, folder / "many", many), many),
        }
        for number in range(plan.rounds):
            tell(f"nothing-due: round {number + 1} of {plan.rounds}")
            for name, run in subjects.items():
                began = time.monotonic()
                await run()
                seconds.setdefault(name, []).append(time.monotonic() - began)
    series = tuple(Series(_GROUP, name, "s", tuple(found)) for name, found in seconds.items())
    yardstick = find(series, _GROUP, f"certbot, {few}")
    goals = (
        ratio_at_most(find(series, _GROUP, f"wellkeeper, {few}"), yardstick, 0.1),
        ratio_at_most(find(series, _GROUP, f"wellkeeper, {many}"), yardstick, 0.3),
    )
    return Result(NAME, "Nothing due", series, goals, (_HOW,))


def _runner(issuer: Issuer, count: int) -> Run:
    async def run() -> None:
        finished = await issuer.run_well("renew")
        if f"{count} not due" not in finished.out:
            raise StandError(f"renew over {count} certificates with nothing due said {finished}")

    return run


async def fresh_issuer(host: Host, folder: Path, count: int) -> Issuer:
    """Return an issuer with this number of certificates, all fresh and served."""
    issuer = Issuer(folder)
    names = {f"bench-{number:05}": (f"bench-{number:05}.due.test",) for number in range(count)}
    issuer.configure(replace(host.issuer_settings, certificates=names))
    await issuer.make_keys()
    await _run(f"writing {count} certificates", [sys.executable, "-m", "bench.installed", str(issuer.config_path)])
    return issuer


async def _obtain_one(certbot: Certbot) -> None:
    await _run("certbot", certbot.argv(), certbot.environment())


async def _run_certbot(certbot: Certbot, count: int) -> None:
    argv = [find_certbot(), "renew", "--non-interactive", "--no-random-sleep-on-renew", *certbot.folders()]
    out = await _run("certbot renew", argv, certbot.environment())
    if out.count("(skipped)") != count:
        raise StandError(f"certbot skipped {out.count('(skipped)')} of {count} lineages:\n{out[-2000:]}")


async def _run(name: str, argv: list[str], environment: dict[str, str] | None = None) -> str:
    """Return the output; raises StandError when the command fails."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment or {"PATH": search_path(), "LC_ALL": "C.UTF-8", "PYTHONPATH": str(PROJECT)},
        start_new_session=True,
    )
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise StandError(f"{name} ended with {process.returncode}: {out.decode()[-2000:]}")
    return out.decode()
