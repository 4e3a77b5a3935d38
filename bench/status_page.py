"""Measurement: the pages of the daemon's status endpoint, and how long they hold up its event loop."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import aiohttp

from bench.figures import Plan, Result, Series, Tell, at_most, find
from bench.idle import SETTLE_SECONDS
from bench.nothing_due import fresh_issuer
from stand.daemon import IssuerDaemon
from stand.host import running_host
from stand.processes import StandError

NAME: Final = "status-page"
_TIMES: Final = 10
_PAGE: Final = "a page"
_LOOP: Final = "the event loop answers"
_PATHS: Final = {
    "certificates": "/",
    "filtered by name": "/?name=-0099",
    "the last certificates": "/?page=1000000",
    "one certificate": "/certificate?name=bench-00099",
    "settings": "/settings",
}
# Longer than a reading is usable, so that the next page waits for another.
_STALE_SECONDS: Final = 61.0
_HOW: Final = (
    "Requests to the daemon's unix socket. The first page waits until all is read from the disk, as each does that "
    "comes more than a minute after the last; the others show that reading. The event loop's time is that of the "
    "slowest request for `/healthz`, of all that followed one another meanwhile, and includes the machine's scheduler."
)


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Request each page in each round."""
    count = plan.lineage_count * _TIMES
    found: dict[tuple[str, str], list[float]] = {}
    async with running_host(folder, {"first": ("first.page.test",)}) as host:
        tell(f"status-page: {count} certificates")
        socket = folder / "page.sock"
        settings = replace(host.issuer_settings, tables=(f"[web]\nlisten = 'unix:{socket}'",))
        issuer = await fresh_issuer(replace(host, issuer_settings=settings), folder / "many", count)
        connector = aiohttp.UnixConnector(str(socket))
        async with IssuerDaemon(issuer), aiohttp.ClientSession("http://localhost", connector=connector) as session:
            await asyncio.sleep(SETTLE_SECONDS)
            for number in range(plan.rounds):
                tell(f"status-page: round {number + 1} of {plan.rounds}")
                await _round(session, found)
                await asyncio.sleep(_STALE_SECONDS if number + 1 < plan.rounds else 0)
    series = tuple(Series(group, name, "ms", tuple(values)) for (group, name), values in found.items())
    goals = tuple(at_most(find(series, _PAGE, name), 100) for name in _PATHS)
    return Result(NAME, f"The status page with {count} certificates", series, goals, (_HOW,))


async def _round(session: aiohttp.ClientSession, found: dict[tuple[str, str], list[float]]) -> None:
    is_over = asyncio.Event()
    watching = asyncio.create_task(_watch(session, is_over))
    found.setdefault((_PAGE, "the first one"), []).append(await _milliseconds(session, "/"))
    for name, path in _PATHS.items():
        found.setdefault((_PAGE, name), []).append(await _milliseconds(session, path))
    is_over.set()
    found.setdefault((_LOOP, "at the latest"), []).append(await watching)


async def _watch(session: aiohttp.ClientSession, is_over: asyncio.Event) -> float:
    longest = 0.0
    while not is_over.is_set():
        longest = max(longest, await _milliseconds(session, "/healthz"))
    return longest


async def _milliseconds(session: aiohttp.ClientSession, path: str) -> float:
    began = time.monotonic()
    async with session.get(path) as reply:
        if reply.status != 200:
            raise StandError(f"{path}: {reply.status}")
        await reply.read()
    return (time.monotonic() - began) * 1000
