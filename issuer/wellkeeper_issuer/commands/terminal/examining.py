"""Run doctor's checks for a command: with a counter in a terminal, and interruptible at any time."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from wellkeeper_issuer.assembly.doctor import CHECKS, examine
from wellkeeper_issuer.assembly.doctor.context import CheckContext
from wellkeeper_issuer.commands.terminal import interrupts, screen
from wellkeeper_issuer.commands.terminal.tally import Tally
from wellkeeper_issuer.commands.terminal.threads import AbandonedThreads
from wellkeeper_issuer.doctor.checks import Check, Network
from wellkeeper_issuer.doctor.run_checks import NoWatcher, Watcher
from wellkeeper_node.findings import Finding

Checks = Sequence[Check[CheckContext]]


class _TallyWatcher:
    """Implements `Watcher`: counts the checks that ended."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def started(self, check: str) -> None:
        self._tally.start(check, "")

    def ended(self, check: str) -> None:
        self._tally.finish(check, is_last=True)


def run_here(
    path: Path, names: Sequence[str], network: Network, checks: Checks = CHECKS, *, has_progress: bool
) -> list[Finding]:
    """Return the findings. Raises SettingsError for an unknown name; `has_progress` shows the counter."""

    async def run() -> list[Finding]:
        asyncio.get_running_loop().set_default_executor(AbandonedThreads())
        with _watcher(len(checks), has_progress=has_progress) as watcher:
            return await examine(path, names, checks, watcher, network)

    return interrupts.run(run())


@contextmanager
def _watcher(count: int, *, has_progress: bool) -> Iterator[Watcher]:
    if not has_progress or not sys.stderr.isatty() or screen.is_dumb():
        yield NoWatcher()
        return
    from wellkeeper_issuer.commands.terminal.live import live_counter

    tally = Tally(count)
    with live_counter(tally):
        yield _TallyWatcher(tally)
