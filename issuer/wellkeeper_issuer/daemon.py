"""Work on each certificate when its time has come, until cancelled; a failure never ends the daemon.

The wall clock decides (renewal times are dates), so it is read at least once a minute: after a suspend or a clock
change the daemon is at most a minute late.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.starting import SECONDS as STARTING_SECONDS
from wellkeeper_issuer.ports.state import Held
from wellkeeper_issuer.reports import Mode, Outcome, Report
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import format_exact_time, format_time

_log = logging.getLogger(__name__)


class Worker(Protocol):
    """The interface of `wellkeeper_issuer.passes.Passes`; runs may overlap."""

    async def run(self, lineages: Sequence[Lineage], mode: Mode) -> list[Report]: ...

    def slot(self, name: str) -> AbstractAsyncContextManager[None]: ...


# The next time to work on each lineage; read again after a lineage was worked on.
WakeTimes = Callable[[Sequence[Lineage]], Awaitable[Mapping[str, datetime]]]
# The names of those whose live version is not the one that their next time was computed for: lost, or replaced.
FindChanged = Callable[[Sequence[Lineage]], Awaitable[Collection[str]]]


@dataclass(frozen=True, slots=True)
class Sleep:
    """The shortest and longest sleep, in seconds: ten thousand certificates must not wake the daemon one by one.

    In the first minute, `first` is the shortest: a person may wait, and what is missing may start soon.
    """

    least: float = 5.0
    longest: float = 60.0
    first: float = 1.0


# However wrong a schedule is, the daemon does not check a certificate more often than this, unless the last check named
# an earlier time.
_LEAST_PAUSE: Final = timedelta(seconds=30)
_PATIENCE: Final = timedelta(minutes=10)
_CLOCK_WAS_SET: Final = timedelta(minutes=1)
_NOW: Final = datetime.min.replace(tzinfo=UTC)
# Ten thousand links are read in a tenth of a second.
_LOOK_SECONDS: Final = 60.0
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


async def _none_changed(_lineages: Sequence[Lineage]) -> Collection[str]:
    return ()


class Daemon:
    """`run` works until cancelled; `work` serves a request, and `replace` changes the list of certificates."""

    def __init__(  # noqa: PLR0913 - all that it works with
        self,
        passes: Worker,
        wake_times: WakeTimes,
        clock: Clock,
        lineages: Sequence[Lineage],
        *,
        held: Held,
        find_changed: FindChanged = _none_changed,
        sleep: Sleep = Sleep(),
    ) -> None:
        self._passes = passes
        self._wake_times = wake_times
        self._find_changed = find_changed
        self._looks_at = -math.inf
        self._clock = clock
        self._held = held
        self._sleep_seconds = sleep
        self._has_started_at = clock.monotonic() + STARTING_SECONDS
        self._lineages: dict[str, Lineage] = {}
        self._wake_at: dict[str, datetime] = {}
        self._under_way: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._replaced = asyncio.Event()
        self._offset = clock.now() - timedelta(seconds=clock.monotonic())
        self.replace(lineages)

    def replace(self, lineages: Sequence[Lineage]) -> None:
        """Manage these certificates from now on; work in progress continues to its end."""
        self._lineages = {one.name: one for one in lineages}
        self._wake_at = {name: self._wake_at.get(name, _NOW) for name in self._lineages}
        self._looks_at = -math.inf
        self._replaced.set()
        self._changed.set()

    async def run(self) -> None:
        """Run until cancelled. Raises JournalError when another process took the state; all tokens are withdrawn."""
        try:
            while True:
                await self._held.extend()
                await self._start_due()
                await self._sleep()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def work(self, lineages: Sequence[Lineage], mode: Mode) -> list[Report]:
        """Run a pass, as `Passes.run`, beside others. Raises JournalError if another process took the state."""
        try:
            await self._held.extend()
            reports = await self._passes.run(lineages, mode)
            for report in reports:
                _log_report(report)
            return reports
        finally:
            await self._plan(lineages, self._clock.now() + _LEAST_PAUSE)
            self._changed.set()

    def slot(self, name: str) -> AbstractAsyncContextManager[None]:
        """Return what `Passes.slot` returns."""
        return self._passes.slot(name)

    async def _start_due(self) -> None:
        """Start a pass for the certificates with something to do; the others are only checked."""
        self._forget_if_clock_was_set()
        await self._wake_changed()
        await self._plan(self._awake(), self._clock.now())
        due = self._awake()
        if due:
            self._under_way |= {one.name for one in due}
            task = asyncio.create_task(self._scheduled(due))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _wake_changed(self) -> None:
        """Wake the certificates that were lost or replaced by a placeholder, behind our back; looks once a minute."""
        if self._clock.monotonic() < self._looks_at:
            return
        self._looks_at = self._clock.monotonic() + _LOOK_SECONDS
        idle = [one for name, one in self._lineages.items() if name not in self._under_way]
        try:
            self._wake_at |= dict.fromkeys(await self._find_changed(idle), _NOW)
        except WellkeeperError as error:
            _log.error("%s", error)

    def _awake(self) -> list[Lineage]:
        now = self._clock.now()
        awake = (one for name, one in self._lineages.items() if self._wake_at[name] <= now)
        return [one for one in awake if one.name not in self._under_way]

    async def _scheduled(self, lineages: Sequence[Lineage]) -> None:
        reports = list[Report]()
        try:
            reports = await self._passes.run(lineages, Mode.SCHEDULED)
        except WellkeeperError as error:
            # The state on disk failed: nothing can be done until it works again, and then all are checked.
            _log.error("%s", error)
        finally:
            await self._plan_after(lineages, reports)
            self._under_way -= {one.name for one in lineages}

    async def _plan_after(self, lineages: Sequence[Lineage], reports: Sequence[Report]) -> None:
        """Log the reports of a pass, and plan when to work on its certificates again."""
        now = self._clock.now()
        for report in reports:
            _log_report(report)
        soonest = {report.lineage: _soonest(report, now) for report in reports}
        await self._plan(lineages, now + _LEAST_PAUSE, soonest)
        self._changed.set()

    async def _plan(
        self, lineages: Sequence[Lineage], otherwise: datetime, known: Mapping[str, datetime] | None = None
    ) -> None:
        """Read the next times; each is at least the `known` one, else `otherwise`."""
        if not lineages:
            return
        try:
            wake_times = await self._wake_times(lineages)
        except WellkeeperError as error:
            _log.error("%s", error)
            wake_times = {}
        for one in lineages:
            if one.name in self._lineages:
                soonest = (known or {}).get(one.name, otherwise)
                self._wake_at[one.name] = max(wake_times.get(one.name, soonest), soonest)

    async def _sleep(self) -> None:
        """Sleep until the next one is due or something changed; new certificates end the sleep at once."""
        is_starting = self._clock.monotonic() < self._has_started_at
        least = self._sleep_seconds.first if is_starting else self._sleep_seconds.least
        if await self._is_set_within(self._replaced, least):
            return
        waiting = (at for name, at in self._wake_at.items() if name not in self._under_way)
        seconds = (min(waiting, default=_NEVER) - self._clock.now()).total_seconds()
        await self._is_set_within(self._changed, min(max(seconds, 0.0), self._sleep_seconds.longest))

    async def _is_set_within(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait for the event, and clear it; return whether it was set in time."""
        waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._clock.sleep(seconds))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return event.is_set()
        finally:
            event.clear()
            for one in waits:
                one.cancel()

    def _forget_if_clock_was_set(self) -> None:
        """Check all certificates again after a clock change; the times on disk stay valid."""
        offset = self._clock.now() - timedelta(seconds=self._clock.monotonic())
        if abs(offset - self._offset) > _CLOCK_WAS_SET:
            self._wake_at = dict.fromkeys(self._wake_at, _NOW)
        self._offset = offset


def _soonest(report: Report, now: datetime) -> datetime:
    """Return when to check again at the earliest.

    Late if it waits for a new server block, or its failure could not be recorded; if it waits for something else, at
    the time that it names.
    """
    is_unrecorded = report.outcome is Outcome.FAILED and report.next_try_at is None
    if is_unrecorded or report.outcome is Outcome.NOT_SERVED_YET:
        return now + _PATIENCE
    pause = now + _LEAST_PAUSE
    return min(report.next_try_at or pause, pause) if report.outcome is Outcome.WAITING else pause


def _log_report(report: Report) -> None:
    """Log one sentence per certificate."""
    match report.outcome:
        case Outcome.FAILED:
            again = f" (next try at {format_exact_time(report.next_try_at)})" if report.next_try_at else ""
            _log.error("certificate %s: failed: %s%s", report.lineage, report.error, again)
        case Outcome.SERVED | Outcome.INSTALLED | Outcome.NOT_SERVED_YET:
            until = f", valid until {format_time(report.certificate.not_after)}" if report.certificate else ""
            _log.info("certificate %s: %s%s (%s)", report.lineage, report.outcome, until, report.reason)
        case Outcome.UNCHANGED | Outcome.WAITING:
            _log.debug("certificate %s: %s (%s)", report.lineage, report.outcome, report.reason)
