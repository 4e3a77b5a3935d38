"""Deliver installed certificates: one reload of nginx for all that arrive within a window.

A reload waits until no new certificate arrives for a while or none is expected. It keeps a distance from the last one,
and waits while too many old workers still finish requests.
"""

import asyncio
import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from wellkeeper_node.deliver.reload import reload
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.model import Flip, Reloaded, RolledBack
from wellkeeper_node.ports import Certificates, Clock, Nginx, Progress, ReloadRecords
from wellkeeper_node.steps import Steps

# A steady stream of renewals never pauses: after so many debounces the waiting ones are delivered anyway.
_LONGEST_DEBOUNCES: Final = 15
# Old workers of websockets may stay for days; a certificate must not wait for them for longer than this.
_LONGEST_FINISHING_SECONDS: Final = 600.0
_FINISHING_POLL_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Pace:
    """The limits on reloads: seconds between them, and old workers that may still finish requests."""

    debounce_seconds: float = math.inf
    interval_seconds: float = 0.0
    finishing_workers: int = 64


@dataclass(frozen=True, slots=True)
class _Waiting:
    flip: Flip
    future: asyncio.Future[float]


@dataclass
class Deliveries:
    """The reloads of all passes of a process; inside `expecting` a certificate may arrive soon."""

    nginx: Nginx
    certificates: Certificates
    delivery_records: ReloadRecords
    clock: Clock
    progress: Progress
    pace: Pace = Pace()
    _expected: int = field(default=0, init=False)
    _waiting: list[_Waiting] = field(default_factory=list, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)
    _reloaded_at: float = field(default=-math.inf, init=False)

    @contextlib.contextmanager
    def expecting(self) -> Iterator[None]:
        """Make reloads wait a little for the certificate that the caller may deliver."""
        self._expected += 1
        try:
            yield
        finally:
            self._expected -= 1
            self._changed.set()

    async def deliver(self, flip: Flip) -> float:
        """Return the seconds of the reload that loaded it; raises ReloadError and InstallError.

        A cancellation does not affect the other certificates; when all are cancelled, the reload ends.
        """
        waiting = _Waiting(flip, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._changed.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._serve())
        try:
            return await waiting.future
        except asyncio.CancelledError:
            await self._give_up(waiting, self._task)
            raise

    async def _give_up(self, waiting: _Waiting, task: asyncio.Task[None]) -> None:
        waiting.future.cancel()
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        if not self._waiting:
            task.cancel()
            await asyncio.wait([task])

    async def _serve(self) -> None:
        while self._waiting:
            batch: list[_Waiting] = []
            try:
                await self._pause()
                batch += self._waiting
                await self._deliver(batch)
            except Exception as error:  # noqa: BLE001 - the callers get it, or they would wait forever
                batch = batch or list(self._waiting)
                for one in batch:
                    if not one.future.done():
                        one.future.set_exception(error)
            self._waiting = [one for one in self._waiting if one not in batch]

    async def _pause(self) -> None:
        """Wait until the batch is complete and nginx is ready for another reload."""
        began = self.clock.monotonic()
        limit = began + self.pace.debounce_seconds * _LONGEST_DEBOUNCES
        while self._expected and self.clock.monotonic() < limit:
            self._changed.clear()
            if not await self._changes_within(self.pace.debounce_seconds):
                break
        await self._ready()

    async def _ready(self) -> None:
        """Wait for the interval from the last reload, and while too many old workers still finish requests."""
        await self.clock.sleep(max(self._reloaded_at + self.pace.interval_seconds - self.clock.monotonic(), 0.0))
        limit = self.clock.monotonic() + _LONGEST_FINISHING_SECONDS
        while await self.nginx.finishing() > self.pace.finishing_workers and self.clock.monotonic() < limit:
            await self.clock.sleep(_FINISHING_POLL_SECONDS)

    async def _before_test(self) -> None:
        """Wait until nginx is ready for a reload that is a test, and count it from now on."""
        await self._ready()
        self._reloaded_at = self.clock.monotonic()

    async def _changes_within(self, seconds: float) -> bool:
        if math.isinf(seconds):
            await self._changed.wait()
            return True
        waits = [asyncio.ensure_future(self._changed.wait()), asyncio.ensure_future(self.clock.sleep(seconds))]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return waits[0] in done
        finally:
            for one in waits:
                one.cancel()

    async def _deliver(self, batch: Sequence[_Waiting]) -> None:
        """Reload once for all; a version that nginx rejects is rolled back and fails alone."""
        flips = [one.flip for one in batch]
        with Steps(_together(flips), self.clock, self.progress).step("reload") as step:
            reloaded = await reload(flips, self.nginx, self.certificates, self.clock, self._before_test)
            step.detail = _summary(reloaded)
        if reloaded.seconds is not None:
            self._reloaded_at = self.clock.monotonic()
        refused = {one.flip.lineage: one for one in reloaded.rolled_back}
        await self.delivery_records.record_reloaded([flip.lineage for flip in flips if flip.lineage not in refused])
        for one in batch:
            if one.future.done():
                continue
            if one.flip.lineage in refused:
                one.future.set_exception(_refusal(refused[one.flip.lineage]))
            else:
                one.future.set_result(reloaded.seconds or 0.0)


def _together(flips: Sequence[Flip]) -> str:
    return flips[0].lineage if len(flips) == 1 else f"{len(flips)} certificates"


def _summary(reloaded: Reloaded) -> str:
    count = reloaded.finishing_count
    parts = ["nothing to reload" if reloaded.seconds is None else "new workers, no old ones accepting"]
    if reloaded.rolled_back:
        parts.append(f"{len(reloaded.rolled_back)} rolled back")
    if count:
        parts.append(f"{count} old {'worker still finishes' if count == 1 else 'workers still finish'} requests")
    return ", ".join(parts)


def _refusal(one: RolledBack) -> ReloadError:
    return ReloadError(
        f"nginx rejects version {one.flip.after} of {one.flip.lineage}, which was rolled back to"
        f" {one.flip.before or 'nothing'}",
        one.words,
        f"Check its server block, or run 'wellkeeper renew {one.flip.lineage} --force' for another certificate.",
    )
