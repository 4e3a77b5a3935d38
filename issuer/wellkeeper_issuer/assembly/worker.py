"""Make the daemon's worker from its settings."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from wellkeeper_issuer.assembly import build, build_passes, fleets
from wellkeeper_issuer.assembly.pins import log_unpinned
from wellkeeper_issuer.assembly.run_needed import run_needed
from wellkeeper_issuer.daemon import Daemon
from wellkeeper_issuer.daemon import Worker as Passes
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.ports.state import Held
from wellkeeper_issuer.reports import Mode, Report
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.status.activity import Activity, CountedPasses, CountedProgress
from wellkeeper_issuer.status.certificate_status import read_rows, statuses
from wellkeeper_node.certificates.live import LiveFolder
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.ports import Progress


class Leading:
    """Implements `ports.state.Held`: nothing begins while another issuer feeds the engine."""

    def __init__(self, held: Held, fleet: Fleet | None) -> None:
        self._held = held
        self._lease = fleet.lease if fleet is not None else None

    @property
    def lost(self) -> asyncio.Event:
        return self._held.lost

    async def extend(self, until: datetime | None = None) -> None:
        if self._lease is not None:
            await self._lease.until_free()
        await self._held.extend(until)


class KeepingWorker(Daemon):
    """Answers requests for certificates with nothing to do without reading those certificates."""

    def __init__(
        self, settings: Settings, state: State, held: Held, passes: Passes, *, fleet: Fleet | None = None
    ) -> None:
        self._settings = settings
        self._fleet = fleet
        self._state = state
        self._live = LiveFolder(settings.certificates_dir)
        # The live versions that the wake times were computed for.
        self._versions: dict[str, str | None] = {}
        wake_times, find_changed = self._read_wake_times, self._find_changed_versions
        lineages, leading = settings.lineages(), Leading(held, fleet)
        super().__init__(passes, wake_times, SystemClock(), lineages, held=leading, find_changed=find_changed)

    def replace(self, lineages: Sequence[Lineage]) -> None:
        super().replace(lineages)
        if self._fleet is not None:
            self._fleet.serve([one.name for one in lineages])

    async def work(self, lineages: Sequence[Lineage], mode: Mode) -> list[Report]:
        await fleets.check_leading(self._fleet)
        await build.apply_file_access(self._settings)
        fleets.check_without(self._fleet, lineages)
        return await run_needed(self._settings, self._state, lineages, mode, super().work)

    async def _read_wake_times(self, lineages: Sequence[Lineage]) -> Mapping[str, datetime]:
        state = self._state
        names = [lineage.name for lineage in lineages]
        rows = await read_rows(state, names)
        versions = await self._live.versions(names)
        self._versions |= {name: versions.get(name) for name in names}
        found = statuses(lineages, versions, rows, SystemClock().now())
        return {one.lineage: one.wake_at for one in found}

    async def _find_changed_versions(self, lineages: Sequence[Lineage]) -> list[str]:
        names = [lineage.name for lineage in lineages if lineage.name in self._versions]
        versions = await self._live.versions(names)
        lost = self._fleet.restored.lost if self._fleet else {}
        return [name for name in names if versions.get(name) != self._versions[name] or name in lost]


@asynccontextmanager
async def worker(
    settings: Settings, state: State, held: Held, progress: Progress, activity: Activity
) -> AsyncIterator[KeepingWorker]:
    """Yield the worker; asks each responder which accounts it trusts. Raises SettingsError."""
    counted = CountedProgress(progress, activity)
    build.check_keys(settings)
    await build.apply_file_access(settings)
    async with (
        fleets.fleet(settings, state, is_daemon=True) as fleet,
        build_passes.passes(settings, state, counted, fleet, activity=activity) as passes,
    ):
        checking = asyncio.create_task(
            log_unpinned(settings, build.accounts(settings), build.responder_clients(settings))
        )
        try:
            yield KeepingWorker(settings, state, held, CountedPasses(passes, activity), fleet=fleet)
        finally:
            checking.cancel()
            await asyncio.wait([checking])
