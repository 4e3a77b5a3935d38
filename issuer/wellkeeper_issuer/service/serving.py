"""What a daemon does for those who ask it over its socket, and how it goes over to new settings.

Settings that do not hold, or of which nothing can be made, change nothing: those of before go on. When only the
certificates changed, what is under way goes on as well; else it is ended, and taken up again with the new settings.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from wellkeeper_issuer.errors import DaemonError, SettingsError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.daemon.server import Handler, Tell
from wellkeeper_issuer.outside.daemon.socket import Message
from wellkeeper_issuer.records import Rehearsal
from wellkeeper_issuer.reports import Mode, Report
from wellkeeper_issuer.service.broadcast import Broadcast
from wellkeeper_issuer.service.report_wire import encode_rehearsal, encode_report
from wellkeeper_issuer.settings import Settings, check
from wellkeeper_issuer.settings.choice import choose
from wellkeeper_issuer.settings.files import read_sources
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.wording import counted

_log = logging.getLogger(__name__)

_ENDS_FIRST: Final = "is worked on; it is forgotten when that has ended"


class Worker(Protocol):
    """What `wellkeeper_issuer.daemon.Daemon` is."""

    async def run(self) -> None: ...

    async def work(self, lineages: Sequence[Lineage], mode: Mode) -> list[Report]: ...

    def replace(self, lineages: Sequence[Lineage]) -> None: ...

    def slot(self, name: str) -> AbstractAsyncContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class Factories:
    """How a worker is made, lineages are rehearsed and forgotten, and the service manager hears of states."""

    worker: Callable[[Settings], AbstractAsyncContextManager[Worker]]
    rehearse: Callable[[Settings, Sequence[Lineage]], Awaitable[Sequence[Rehearsal]]]
    forget: Callable[[str], Awaitable[None]]
    reloading: Callable[[], None]
    ready: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Change:
    """New settings of which a new worker is to be made; `done` says whether it could be."""

    settings: Settings
    done: asyncio.Future[None]

    def succeed(self) -> None:
        if not self.done.done():  # whoever waited may be gone
            self.done.set_result(None)

    def fail(self, error: WellkeeperError) -> None:
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(slots=True)
class _Running:
    """A worker and what it rests on."""

    worker: Worker
    task: asyncio.Task[None]
    stack: AsyncExitStack

    async def end(self) -> None:
        """After everything was withdrawn."""
        self.task.cancel()
        await asyncio.wait([self.task])
        await self.stack.aclose()


@dataclass(slots=True)
class Service:
    """`run` works until it is cancelled; `handlers` answer requests meanwhile."""

    path: Path
    settings: Settings
    making: Factories
    broadcast: Broadcast
    digest: str
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)
    _worker: Worker | None = None
    _asked: set[asyncio.Future[None]] = field(default_factory=set)
    _changes: asyncio.Queue[_Change] = field(default_factory=asyncio.Queue)
    _reloads: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {
            "renew": self.renew,
            "rehearse": self.rehearse,
            "reload": self.reload,
            "status": self.status,
            "forget": self.forget,
        }

    async def run(self) -> None:
        """Raises SettingsError when nothing can be made of the first settings."""
        running = await self._begin(self.settings)
        try:
            while True:
                change = await self._next_change(running.task)
                try:
                    following = await self._begin_after(running, change.settings)
                except WellkeeperError as error:
                    change.fail(error)
                else:
                    running = following
                    change.succeed()
        finally:
            await running.end()

    async def _next_change(self, task: asyncio.Task[None]) -> _Change:
        getting = asyncio.ensure_future(self._changes.get())
        try:
            await asyncio.wait([getting, task], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()  # the state is no longer ours, or a defect
                raise DaemonError("the worker ended by itself; please report it")
            return getting.result()
        finally:
            getting.cancel()

    async def _begin(self, settings: Settings) -> _Running:
        async with AsyncExitStack() as stack:
            worker = await stack.enter_async_context(self.making.worker(settings))
            self._worker, self.settings = worker, settings
            self.is_ready.set()
            return _Running(worker, asyncio.create_task(worker.run()), stack.pop_all())

    async def _begin_after(self, running: _Running, settings: Settings) -> _Running:
        """The next worker is made before the last one ends; what people asked for is waited for."""
        async with AsyncExitStack() as stack:
            worker = await stack.enter_async_context(self.making.worker(settings))
            while self._asked:  # with the settings of before, which serve whoever asks meanwhile as well
                _log.info("new settings wait until %d that were asked for over the socket end", len(self._asked))
                await asyncio.wait(self._asked)
            self.is_ready.clear()
            try:
                await running.end()
                self._worker, self.settings = worker, settings
            finally:
                self.is_ready.set()
            return _Running(worker, asyncio.create_task(worker.run()), stack.pop_all())

    async def renew(self, request: Message, tell: Tell) -> Message:
        """`names` (all without any) in `mode`; events are what `Broadcast` tells, the answer has all reports."""
        names, mode = _names(request), _mode(request)
        await self.is_ready.wait()
        lineages = self._choose(names)
        chosen = [one.name for one in lineages]
        worker = self._known_worker()
        what = chosen[0] if len(chosen) == 1 else f"{len(chosen)} certificates"
        _log.info("asked to renew %s (%s)", what, mode.value)
        with self._asking(), self.broadcast.listening(chosen, tell):
            reports = await worker.work(lineages, mode)
        return {"reports": [encode_report(report) for report in reports]}

    def _known_worker(self) -> Worker:
        if self._worker is None:
            raise DaemonError("the daemon is not ready yet; try again")
        return self._worker

    def _choose(self, names: Sequence[str]) -> list[Lineage]:
        unknown = set(names) - {one.name for one in self.settings.certificates}
        if unknown:
            raise SettingsError(
                f"the daemon does not know {sorted(unknown)[0]!r}: it has read {self.path} without it; let it read the "
                "settings again with 'wellkeeper reload'"
            )
        return choose(self.settings, names)

    async def rehearse(self, request: Message, tell: Tell) -> Message:
        """`names` (all without any); events as of `renew`, the answer has one result a lineage."""
        lineages = choose(self.settings, _names(request))
        with self.broadcast.listening([one.name for one in lineages], tell):
            results = await self.making.rehearse(self.settings, lineages)
        return {"rehearsals": [encode_rehearsal(result) for result in results]}

    def kept(self) -> tuple[Sequence[Lineage], timedelta | None]:
        """The lineages that there are now, and how often each is rehearsed, if ever."""
        days = self.settings.rehearsal.every_days
        return (self.settings.lineages(), timedelta(days=days)) if days else ((), None)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        ended = asyncio.get_running_loop().create_future()
        self._asked.add(ended)
        try:
            yield
        finally:
            self._asked.discard(ended)
            ended.set_result(None)

    async def reload(self, _request: Message, _tell: Tell) -> Message:
        """Reads the settings anew; raises SettingsError, and then those of before go on."""
        async with self._reloads:
            self.making.reloading()
            before = {one.name for one in self.settings.certificates}
            try:
                sources = await asyncio.to_thread(read_sources, self.path)
                await self._take(await asyncio.to_thread(check, sources))
                self.digest = sources.digest
            except WellkeeperError as error:
                _log.error("new settings are not taken, those of before go on: %s", error)
                raise
            finally:
                self.making.ready(self.describe())
            after = {one.name for one in self.settings.certificates}
        _log.info("settings read: %s", self.describe())
        return {
            "path": str(self.path),
            "count": len(after),
            "new": sorted(after - before),
            "gone": sorted(before - after),
        }

    async def _take(self, settings: Settings) -> None:
        if settings.state_dir != self.settings.state_dir:
            raise SettingsError(
                f"{self.path}: state_dir = {str(settings.state_dir)!r} is not that of this daemon "
                f"({self.settings.state_dir}); move the folder and restart it"
            )
        if self._worker is not None and _is_like(settings, self.settings):
            self.settings = settings
            self._worker.replace(settings.lineages())
            return
        change = _Change(settings, asyncio.get_running_loop().create_future())
        self._changes.put_nowait(change)
        await change.done

    async def status(self, _request: Message, _tell: Tell) -> Message:
        return {
            "pid": os.getpid(),
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "count": len(self.settings.certificates),
            "under_way": self.broadcast.under_way,
            "settings_digest": self.digest,
        }

    async def forget(self, request: Message, tell: Tell) -> Message:
        """`names` that the settings do not have (any more): what the state has of them.

        What works on one of them ends first: it would bring back what was forgotten, and files that are deleted then.
        """
        names = _names(request)
        await self.is_ready.wait()
        known = {one.name for one in self.settings.certificates}
        for name in names:
            if name in known:
                raise DaemonError(f"the settings have {name}; take it out of them and reload first")
            if name in self.broadcast.under_way:
                tell({"certificate": name, "event": "note", "detail": _ENDS_FIRST})
            async with self._known_worker().slot(name):
                await self.making.forget(name)
        return {"names": names}

    def describe(self) -> str:
        return f"keeps {counted(len(self.settings.certificates), 'certificate')}"


def _is_like(one: Settings, other: Settings) -> bool:
    """Whether they differ in certificates only, and ask the same CAs."""
    first, second = (settings.model_copy(update={"certificates": ()}) for settings in (one, other))
    return first == second and one.all_cas() == other.all_cas()


def _names(request: Message) -> list[str]:
    names: Any = request.get("names", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DaemonError(f"names must be a list of strings, not {names!r:.80}")
    return names


def _mode(request: Message) -> Mode:
    try:
        return Mode(request.get("mode", Mode.SCHEDULED.value))
    except ValueError:
        modes = ", ".join(mode.value for mode in Mode)
        raise DaemonError(f"mode must be one of {modes}, not {request['mode']!r:.80}") from None
