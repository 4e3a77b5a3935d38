"""A fake worker that tests control, and a service with it."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

from tests.fakes import run_tasks_until
from wellkeeper_issuer.commands.terminal.progress import JsonProgress
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.host.installed import fingerprint
from wellkeeper_issuer.records import Rehearsal
from wellkeeper_issuer.reports import Mode, Outcome, Report
from wellkeeper_issuer.service.broadcast import Broadcast
from wellkeeper_issuer.service.factories import Factories
from wellkeeper_issuer.service.serving import Service
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_issuer.settings.files import read_sources
from wellkeeper_node.errors import WellkeeperError

REHEARSED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


class FakeWorker:
    """Implements `serving.Worker`; `work` reports progress and waits for `is_free`."""

    def __init__(self, lineages: Sequence[Lineage], broadcast: Broadcast) -> None:
        self.lineages = [one.name for one in lineages]
        self.modes: list[Mode] = []
        self.is_running = False
        self.is_free = asyncio.Event()
        self.is_free.set()
        self.is_asked = asyncio.Event()
        self.failing: WellkeeperError | None = None
        self.slots = defaultdict[str, asyncio.Lock](asyncio.Lock)
        self._broadcast = broadcast

    async def run(self) -> None:
        self.is_running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.is_running = False

    async def work(self, lineages: Sequence[Lineage], mode: Mode) -> list[Report]:
        self.modes.append(mode)
        for one in lineages:
            self._broadcast.started(one.name, "order")
        self.is_asked.set()
        await self.is_free.wait()
        for one in lineages:
            self._broadcast.finished(one.name, "order", 1.5, "done")
        if self.failing:
            raise self.failing
        return [Report(one.name, Outcome.SERVED, "asked for") for one in lineages]

    def slot(self, name: str) -> AbstractAsyncContextManager[None]:
        return self.slots[name]

    def replace(self, lineages: Sequence[Lineage]) -> None:
        self.lineages = [one.name for one in lineages]


class WorkerFactory:
    """Makes workers from settings and keeps all of them; raises `refusal`, if set, instead of making one.

    `readings` of the daemon's status wait until it `is_readable`.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "issuer.toml"
        self.folder = folder
        self.log = StringIO()
        self.broadcast = Broadcast(JsonProgress(self.log))
        self.workers: list[FakeWorker] = []
        self.open_count = 0
        self.refusal: SettingsError | None = None
        self.build = fingerprint()
        self.forgotten: list[str] = []
        self.reported: list[str] = []
        self.checked: dict[str, Any] = {"checked_at": None, "findings": []}
        self.readings = 0
        self.is_readable = threading.Event()
        self.is_readable.set()

    def write(self, *names: str, more: str = "", state_dir: str = "state") -> None:
        lines = [
            f"state_dir = '{self.folder / state_dir}'",
            f"certificates_dir = '{self.folder / 'certificates'}'",
            more,
        ]
        lines += [f"[[certificates]]\nidentifiers = ['{name}']" for name in names]
        self.path.write_text("\n".join(lines))

    @asynccontextmanager
    async def worker(self, settings: Settings) -> AsyncIterator[FakeWorker]:
        if self.refusal:
            raise self.refusal
        worker = FakeWorker(settings.lineages(), self.broadcast)
        self.workers.append(worker)
        self.open_count += 1
        try:
            yield worker
        finally:
            self.open_count -= 1

    def make(self) -> Service:
        factories = Factories(
            self.worker,
            self._rehearse,
            self._forget,
            lambda: self.reported.append("reloading"),
            self.reported.append,
            self._checked,
        )
        settings, digest = read_settings(self.path), read_sources(self.path).digest
        return Service(self.path, settings, factories, self.broadcast, digest, self.build)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Service]:
        """Yield a running service."""
        service = self.make()
        task = asyncio.create_task(service.run())
        try:
            await service.is_ready.wait()
            await run_tasks_until(lambda: self.workers[-1].is_running)
            yield service
        finally:
            task.cancel()
            await asyncio.wait([task])

    def _checked(self) -> dict[str, Any]:
        self.readings += 1
        assert self.is_readable.wait(timeout=60)
        return self.checked

    async def _rehearse(self, settings: Settings, lineages: Sequence[Lineage]) -> list[Rehearsal]:
        for one in lineages:
            self.broadcast.finished(one.name, "publish", 0.5, "served")
        return [Rehearsal(one.name, REHEARSED_AT, one.name != "b.example", f"by {settings.ca[0]}") for one in lineages]

    async def _forget(self, name: str) -> None:
        self.forgotten.append(name)
