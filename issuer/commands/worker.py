"""Makes the daemon's worker of its settings: passes over what they name, each certificate when its time has come."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from issuer.commands import build, build_passes
from issuer.daemon import Daemon
from issuer.model import Lineage
from issuer.outside.clock import SystemClock
from issuer.outside.live import LiveFolder
from issuer.outside.state import State
from issuer.ports import Progress
from issuer.settings import Settings
from issuer.standing import read_rows, standings


@asynccontextmanager
async def worker(settings: Settings, state: State, progress: Progress) -> AsyncIterator[Daemon]:
    """Raises SettingsError when nothing can be made of the settings; asks nobody yet."""
    build.check_keys(settings)
    clock, live = SystemClock(), LiveFolder(settings.certificates_dir)

    async def wake_times(lineages: Sequence[Lineage]) -> Mapping[str, datetime]:
        rows = await read_rows(state.journal, state.schedules, state.ledger, state.notes)
        found = standings(lineages, await live.versions(), rows, clock.now())
        return {one.lineage: one.wake_at for one in found}

    async with build_passes.passes(settings, state, progress) as passes:
        yield Daemon(passes, wake_times, clock, settings.lineages())
