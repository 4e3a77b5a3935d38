"""Answer requests over the daemon's socket, and switch to new settings.

Invalid settings change nothing: the daemon keeps its current ones. When only the certificates changed, work in
progress continues; otherwise it is ended, and resumed with the new settings.
"""

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from wellkeeper_issuer.errors import DaemonError, SettingsError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.daemon.server import Handler, Tell
from wellkeeper_issuer.outside.daemon.socket import Message
from wellkeeper_issuer.service.broadcast import Broadcast
from wellkeeper_issuer.service.factories import Factories, Worker
from wellkeeper_issuer.service.members import mode_of, names_of
from wellkeeper_issuer.service.report_wire import encode_rehearsal, encode_report
from wellkeeper_issuer.service.running import Change, Running
from wellkeeper_issuer.settings import Settings, check
from wellkeeper_issuer.settings.choice import choose, choose_ordered, ordered
from wellkeeper_issuer.settings.files import read_sources
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.wording import counted

_log = logging.getLogger(__name__)

_REMOVE_FIRST: Final = "Remove it there, then run 'wellkeeper reload'."
_ENDS_FIRST: Final = "in progress, will be forgotten when done"


@dataclass(slots=True)
class Service:
    """`run` works until cancelled; `handlers` answer requests meanwhile."""

    path: Path
    settings: Settings
    factories: Factories
    broadcast: Broadcast
    digest: str
    build: str
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    is_ready: asyncio.Event = field(default_factory=asyncio.Event)
    _worker: Worker | None = None
    _asked: set[asyncio.Future[None]] = field(default_factory=set)
    _changes: asyncio.Queue[Change] = field(default_factory=asyncio.Queue)
    _reloads: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {
            "renew": self.renew,
            "rehearse": self.rehearse,
            "reload": self.reload,
            "status": self.status,
            "forget": self.forget,
            "take keys": self.take_keys,
        }

    async def run(self) -> None:
        """Run until cancelled. Raises SettingsError when the first settings cannot be used."""
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

    async def _next_change(self, task: asyncio.Task[None]) -> Change:
        getting = asyncio.ensure_future(self._changes.get())
        try:
            await asyncio.wait([getting, task], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()  # another process took the state, or a bug
                raise DaemonError("the worker ended unexpectedly", "this is a bug", "Please report it.")
            return getting.result()
        finally:
            getting.cancel()

    async def _begin(self, settings: Settings) -> Running:
        async with AsyncExitStack() as stack:
            worker = await stack.enter_async_context(self.factories.worker(settings))
            self._worker, self.settings = worker, settings
            self.is_ready.set()
            return Running(asyncio.create_task(worker.run()), stack.pop_all())

    async def _begin_after(self, running: Running, settings: Settings) -> Running:
        """Make the next worker, wait for the requests in progress, then end the last worker."""
        async with AsyncExitStack() as stack:
            worker = await stack.enter_async_context(self.factories.worker(settings))
            while self._asked:  # requests that arrive meanwhile are served with the old settings, too
                _log.info("the new settings wait for %d requests to end", len(self._asked))
                await asyncio.wait(self._asked)
            self.is_ready.clear()
            try:
                await running.end()
                self._worker, self.settings = worker, settings
            finally:
                self.is_ready.set()
            return Running(asyncio.create_task(worker.run()), stack.pop_all())

    async def renew(self, request: Message, tell: Tell) -> Message:
        """Renew `names` (or all) in `mode`; sends the events of `Broadcast`, and answers with all reports.

        The nodes in `without` need not answer challenges.
        """
        names, mode, without = names_of(request), mode_of(request), frozenset(names_of(request, "without"))
        await self.is_ready.wait()
        lineages = [replace(one, without_nodes=without) for one in self._choose(names)]
        chosen = [one.name for one in lineages]
        worker = self._known_worker()
        what = chosen[0] if len(chosen) == 1 else f"{len(chosen)} certificates"
        _log.info("received a request to renew %s (%s)", what, mode.value)
        with self._asking(), self.broadcast.listening(chosen, tell):
            reports = await worker.work(lineages, mode)
        is_outdated = await asyncio.to_thread(self.is_outdated)
        return {"reports": [encode_report(report) for report in reports], "is_reload_needed": is_outdated}

    def is_outdated(self) -> bool:
        """Return whether the settings changed since they were loaded."""
        try:
            return read_sources(self.path).digest != self.digest
        except SettingsError:
            return True

    def _known_worker(self) -> Worker:
        if self._worker is None:
            raise DaemonError("the daemon is not ready yet", remedy="Try again in a moment.")
        return self._worker

    def slot(self, name: str) -> AbstractAsyncContextManager[None]:
        """Return what `Passes.slot` returns."""
        return self._known_worker().slot(name)

    def _choose(self, names: Sequence[str]) -> list[Lineage]:
        unknown = set(names) - {one.name for one in self.settings.certificates}
        if unknown:
            raise SettingsError(
                f"the daemon does not know the certificate {sorted(unknown)[0]!r}",
                f"it has read {self.path} without it",
                "Run 'wellkeeper reload'.",
            )
        return choose(self.settings, names)

    async def rehearse(self, request: Message, tell: Tell) -> Message:
        """Rehearse `names` (or all); sends events as `renew`, and answers with one result per lineage."""
        lineages = choose_ordered(self.settings, names_of(request))
        with self.broadcast.listening([one.name for one in lineages], tell):
            results = await self.factories.rehearse(self.settings, lineages)
        return {"rehearsals": [encode_rehearsal(result) for result in results]}

    def kept(self) -> tuple[Sequence[Lineage], timedelta | None]:
        """Return the present lineages, and the interval of their rehearsals, or None for never."""
        days = self.settings.rehearsal.every_days
        return (ordered(self.settings.lineages()), timedelta(days=days)) if days else ((), None)

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
        """Read the settings again; raises SettingsError, and then keeps the current ones."""
        async with self._reloads:
            self.factories.reloading()
            before = {one.name for one in self.settings.certificates}
            try:
                sources = await asyncio.to_thread(read_sources, self.path)
                await self._take(await asyncio.to_thread(check, sources))
                self.digest = sources.digest
            except WellkeeperError as error:
                _log.error(
                    "new settings rejected, keeping the current ones: %s (fix it, then run 'wellkeeper reload')", error
                )
                raise
            finally:
                self.factories.ready(self.describe())
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
                f"{self.path}: cannot change state_dir to {str(settings.state_dir)!r} while the daemon runs",
                f"it uses {self.settings.state_dir}",
                "Stop the daemon, move the directory, and start it again.",
            )
        if self._worker is not None and _is_like(settings, self.settings):
            self.settings = settings
            self._worker.replace(settings.lineages())
            return
        await self._begin_again(settings)

    async def _begin_again(self, settings: Settings) -> None:
        """End the worker and begin with another one, which reads keys and settings; what it did is resumed."""
        change = Change(settings, asyncio.get_running_loop().create_future())
        self._changes.put_nowait(change)
        await change.done

    async def take_keys(self, _request: Message, _tell: Tell) -> Message:
        """Use the keys that are on disk from now on: two fleets with different keys must not work side by side."""
        async with self._reloads:
            await self.is_ready.wait()
            self.is_ready.clear()
            try:
                while self._asked:
                    await asyncio.wait(self._asked)
                await self._begin_again(self.settings)
            finally:
                self.is_ready.set()
        _log.info("keys read again")
        return {}

    async def status(self, _request: Message, _tell: Tell) -> Message:
        return {
            "pid": os.getpid(),
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "count": len(self.settings.certificates),
            "under_way": self.broadcast.under_way,
            "settings_digest": self.digest,
            "build": self.build,
            **self.factories.checked(),
        }

    async def forget(self, request: Message, tell: Tell) -> Message:
        """Forget the state of `names`, which must no longer be in the settings.

        Waits for work in progress on them, which would restore what was forgotten, and files that are deleted next.
        """
        names = names_of(request)
        await self.is_ready.wait()
        known = {one.name for one in self.settings.certificates}
        for name in names:
            if name in known:
                raise DaemonError(f"cannot forget {name}", "it is still in the settings", _REMOVE_FIRST)
            if name in self.broadcast.under_way:
                tell({"certificate": name, "event": "note", "detail": _ENDS_FIRST})
            async with self.slot(name):
                await self.factories.forget(name)
        return {"names": names}

    def describe(self) -> str:
        return f"manages {counted(len(self.settings.certificates), 'certificate')}"


def _is_like(one: Settings, other: Settings) -> bool:
    """Return whether they differ in certificates only, and use the same CAs."""
    first, second = (settings.model_copy(update={"certificates": ()}) for settings in (one, other))
    return first == second and one.all_cas() == other.all_cas()
