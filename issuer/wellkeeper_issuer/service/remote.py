"""Ask the daemon, if one runs, to do what a command would do by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any

from wellkeeper_client import services
from wellkeeper_issuer.errors import DaemonError, SettingsError
from wellkeeper_issuer.outside.daemon.client import Conversation, conversation
from wellkeeper_issuer.outside.daemon.socket import Message, socket_path
from wellkeeper_issuer.reports import Mode, Report
from wellkeeper_issuer.service.broadcast import replay
from wellkeeper_issuer.service.report_wire import decode_report
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.ports import Progress


def ignore(_message: Message) -> None:
    """Ignore an event."""


@asynccontextmanager
async def _daemon(settings: Settings) -> AsyncIterator[Conversation | None]:
    try:
        path = socket_path(settings.state_dir)
    except SettingsError:
        yield None  # no daemon can have started with it
        return
    async with conversation(path) as daemon:
        yield daemon


async def ask(
    settings: Settings, request: Message, on_progress: Callable[[Message], None] = ignore
) -> dict[str, Any] | None:
    """Return the daemon's answer; None when no daemon runs. Raises the error that the daemon reports."""
    async with _daemon(settings) as daemon:
        return None if daemon is None else await daemon.ask(request, on_progress)


async def demand(
    settings: Settings, request: Message, on_progress: Callable[[Message], None] = ignore
) -> dict[str, Any]:
    """Return the daemon's answer, as `ask`; raises DaemonError when no daemon runs."""
    answer = await ask(settings, request, on_progress)
    if answer is None:
        raise DaemonError(
            "the daemon is not running",
            f"no process answers at {settings.state_dir / 'daemon.sock'}",
            f"{services.sentence('start', 'wellkeeper')} The daemon reads the settings when it starts.",
        )
    return answer


async def renew(  # noqa: PLR0913 - the options of the command
    settings: Settings,
    names: Sequence[str],
    mode: Mode,
    progress: Progress,
    *,
    is_staging: bool = False,
    without: Collection[str] = (),
) -> list[Report] | None:
    """Have the daemon renew, and return what `Passes.run` does; None when no daemon runs. Without names, all.

    The nodes in `without` need not answer challenges. Raises SettingsError and DaemonError. If interrupted, the daemon
    continues.
    """
    async with _daemon(settings) as daemon:
        if daemon is None:
            return None
        if is_staging:
            raise DaemonError(
                "cannot use --staging while the daemon runs",
                "the daemon uses the CA of its settings",
                "Run 'wellkeeper rehearse' for a dry run, or stop the daemon first.",
            )
        request = {"command": "renew", "names": list(names), "mode": mode.value, "without": sorted(without)}
        try:
            answer = await daemon.ask(request, lambda message: replay(message, progress))
        except asyncio.CancelledError:
            progress.note("daemon", "continues in the background; 'wellkeeper status' shows the result")
            raise
        return [decode_report(report) for report in answer["reports"]]
