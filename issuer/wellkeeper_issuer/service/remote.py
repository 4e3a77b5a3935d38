"""Asks the daemon to do what a command would do by itself, when there is a daemon."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from wellkeeper_issuer.errors import DaemonError, SettingsError
from wellkeeper_issuer.outside.daemon.client import Conversation, conversation
from wellkeeper_issuer.outside.daemon.socket import Message, socket_path
from wellkeeper_issuer.reports import Mode, Report
from wellkeeper_issuer.service.broadcast import tell_again
from wellkeeper_issuer.service.report_wire import decode_report
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.ports import Progress


def unheard(_message: Message) -> None:
    """Nobody listens to events."""


@asynccontextmanager
async def _daemon(settings: Settings) -> AsyncIterator[Conversation | None]:
    try:
        path = socket_path(settings.state_dir)
    except SettingsError:
        yield None  # a daemon could not have started with it
        return
    async with conversation(path) as daemon:
        yield daemon


async def ask(
    settings: Settings, request: Message, on_progress: Callable[[Message], None] = unheard
) -> dict[str, Any] | None:
    """The daemon's answer; None when there is no daemon. Raises what the daemon complains of."""
    async with _daemon(settings) as daemon:
        return None if daemon is None else await daemon.ask(request, on_progress)


async def demand(
    settings: Settings, request: Message, on_progress: Callable[[Message], None] = unheard
) -> dict[str, Any]:
    """As `ask`, for what nobody but a daemon can do."""
    answer = await ask(settings, request, on_progress)
    if answer is None:
        raise DaemonError(
            f"no daemon answers at {settings.state_dir / 'daemon.sock'}; it reads the settings when it starts: "
            "'wellkeeper run', and one that runs with another state_dir has to be restarted"
        )
    return answer


async def renew(
    settings: Settings, names: Sequence[str], mode: Mode, progress: Progress, *, is_staging: bool = False
) -> list[Report] | None:
    """What `Passes.run` would have returned; None when there is no daemon. Without names, all.

    Raises SettingsError and DaemonError. Interrupted, it leaves the work to the daemon.
    """

    async with _daemon(settings) as daemon:
        if daemon is None:
            return None
        if is_staging:
            raise DaemonError(
                "a daemon keeps these certificates, with the CA of its settings; stop it to try with --staging, or let "
                "'wellkeeper rehearse' try without touching what is live"
            )
        request = {"command": "renew", "names": list(names), "mode": mode.value}
        try:
            answer = await daemon.ask(request, lambda message: tell_again(message, progress))
        except asyncio.CancelledError:
            progress.note("daemon", "goes on with it by itself; 'wellkeeper status' shows how it stands")
            raise
        return [decode_report(report) for report in answer["reports"]]
