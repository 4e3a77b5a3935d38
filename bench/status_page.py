"""Measurement: the pages of the daemon's status endpoint, and how long they hold up its event loop."""

import asyncio
import re
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp

from bench.figures import Plan, Result, Series, Tell, at_most, find
from bench.idle import SETTLE_SECONDS
from bench.nothing_due import fresh_issuer
from stand.daemon import IssuerDaemon
from stand.host import running_host
from stand.issuer import Issuer
from stand.processes import StandError

NAME: Final = "status-page"
_TIMES: Final = 10
_PAGE: Final = "a page"
_LOOP: Final = "the event loop answers"
_AGE: Final = "a page shows the disk as it was before"
_UNITS: Final = {_PAGE: "ms", _LOOP: "ms", _AGE: "s"}
_AFTER_START: Final = "the first after the daemon's start"
_AFTER_PAUSE: Final = "the first after three minutes without one"
_LATEST: Final = "at the latest"
_PATHS: Final = {
    "certificates": "/",
    "filtered by name": "/?name=-0099",
    "the last certificates": "/?page=1000000",
    "one certificate": "/certificate?name=bench-00099",
    "settings": "/settings",
}
# Longer than a reading is fresh, so that the next page begins another.
_STALE_SECONDS: Final = 6.0
# As long as a reading of ten thousand certificates takes while all cores are busy.
_READING_SECONDS: Final = 3.0
# Longer than pages may show a reading, however much time passes.
_PAUSE_SECONDS: Final = 180.0
_AS_OF: Final = re.compile(r'As of <time datetime="([^"]+)"')
_HOW: Final = (
    "Requests to the daemon's unix socket. The first page after the start is requested as soon as the socket accepts "
    "connections. In each round, the pages follow one another while the daemon reads everything from the disk, which "
    "the first of them begins. The event loop's time is that of the slowest request for `/healthz`, of all that "
    "followed one another during this reading, and includes the machine's scheduler."
)


@dataclass(frozen=True, slots=True)
class _Pages:
    """Requests pages of one daemon after another, and notes how long each took, in order."""

    session: aiohttp.ClientSession
    plan: Plan
    tell: Tell
    found: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    async def start(self, issuer: Issuer) -> None:
        """Request the first page of as many daemons as there are rounds."""
        for number in range(self.plan.rounds):
            self.tell(f"status-page: start {number + 1} of {self.plan.rounds}")
            async with IssuerDaemon(issuer):
                self._add(_PAGE, _AFTER_START, await _first(self.session))

    async def request(self) -> None:
        """Request each page in each round."""
        for number in range(self.plan.rounds):
            self.tell(f"status-page: round {number + 1} of {self.plan.rounds}")
            await asyncio.sleep(_STALE_SECONDS)
            is_over = asyncio.Event()
            watching = asyncio.create_task(_watch(self.session, is_over))
            for name, path in _PATHS.items():
                self._add(_PAGE, name, await _milliseconds(self.session, path))
            await asyncio.sleep(_READING_SECONDS)
            is_over.set()
            self._add(_LOOP, _LATEST, await watching)

    async def pause(self) -> None:
        """Request a page after a long time without requests."""
        self.tell(f"status-page: {_PAUSE_SECONDS:g} s without a request")
        await asyncio.sleep(_PAUSE_SECONDS)
        self._add(_PAGE, _AFTER_PAUSE, await _milliseconds(self.session, "/"))
        self._add(_AGE, _AFTER_PAUSE, await _age(self.session))

    def _add(self, group: str, name: str, value: float) -> None:
        self.found.setdefault((group, name), []).append(value)

    def series(self) -> tuple[Series, ...]:
        return tuple(
            Series(group, name, unit, tuple(values))
            for group, unit in _UNITS.items()
            for (of_group, name), values in self.found.items()
            if of_group == group
        )


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Request pages of daemons that have just started, and of one that runs."""
    count = plan.lineage_count * _TIMES
    async with running_host(folder, {"first": ("first.page.test",)}) as host:
        tell(f"status-page: {count} certificates")
        socket = folder / "page.sock"
        settings = replace(host.issuer_settings, tables=(f"[web]\nlisten = 'unix:{socket}'",))
        issuer = await fresh_issuer(replace(host, issuer_settings=settings), folder / "many", count)
        connector = aiohttp.UnixConnector(str(socket))
        async with aiohttp.ClientSession("http://localhost", connector=connector) as session:
            pages = _Pages(session, plan, tell)
            await pages.start(issuer)
            async with IssuerDaemon(issuer):
                await asyncio.sleep(SETTLE_SECONDS)
                await pages.request()
                await pages.pause()
    series = pages.series()
    goals = [at_most(find(series, _PAGE, name), 100) for name in (_AFTER_START, *_PATHS, _AFTER_PAUSE)]
    goals.append(at_most(find(series, _LOOP, _LATEST), 20))
    return Result(NAME, f"The status page with {count} certificates", series, tuple(goals), (_HOW,))


async def _first(session: aiohttp.ClientSession) -> float:
    """Request the first page as soon as the daemon listens; return the time of the request that it accepts."""
    while True:
        try:
            return await _milliseconds(session, "/")
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.01)


async def _age(session: aiohttp.ClientSession) -> float:
    """Return the seconds since the moment that the page names."""
    async with session.get("/") as reply:
        as_of = _AS_OF.search(await reply.text())
    if as_of is None:
        raise StandError("the page does not say of when it is")
    return (datetime.now(UTC) - datetime.fromisoformat(as_of[1])).total_seconds()


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
