"""run: the daemon, which keeps every configured certificate renewed until it is stopped."""

import asyncio
import logging
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_client.systemd import Systemd
from wellkeeper_issuer.assembly import all_metrics, build
from wellkeeper_issuer.assembly.doctor import examine_cheaply
from wellkeeper_issuer.assembly.notifications import make_notifications, make_pulse, make_targets
from wellkeeper_issuer.assembly.rehearsals import rehearse_all
from wellkeeper_issuer.assembly.taking_over import TakingOver
from wellkeeper_issuer.assembly.worker import worker
from wellkeeper_issuer.commands import run_standby
from wellkeeper_issuer.commands.run_short_pauses import keep_pauses_short
from wellkeeper_issuer.commands.status_check import is_well
from wellkeeper_issuer.commands.status_endpoint import StatusEndpoint
from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.progress import LogFormat, progress
from wellkeeper_issuer.commands.terminal.threads import run_apart
from wellkeeper_issuer.doctor.daily import DailyChecks
from wellkeeper_issuer.errors import BusyError
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.daemon.server import Handler, Tell, daemon_socket
from wellkeeper_issuer.outside.daemon.socket import Message, socket_path
from wellkeeper_issuer.outside.host.installed import fingerprint
from wellkeeper_issuer.outside.state.lock import DAEMON
from wellkeeper_issuer.outside.state.proof import warn_of_ephemeral
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.ports.state import Held
from wellkeeper_issuer.records import Rehearsal
from wellkeeper_issuer.rehearse import Rehearsing
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.service.broadcast import Broadcast
from wellkeeper_issuer.service.external_requests import ExternalRequests
from wellkeeper_issuer.service.factories import Factories, Worker
from wellkeeper_issuer.service.node_requests import NodeRequests
from wellkeeper_issuer.service.serving import Service
from wellkeeper_issuer.settings import Settings, check
from wellkeeper_issuer.settings.files import Sources, read_sources
from wellkeeper_issuer.status.activity import Activity
from wellkeeper_issuer.upkeep.heartbeat import Heartbeat
from wellkeeper_issuer.upkeep.sending import Sending
from wellkeeper_node import rights
from wellkeeper_node.agent.waiting import is_set_within
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.ports import Progress

_log = logging.getLogger(__name__)

_BUSY_SECONDS: Final = 2.0


@click.command()
@options.config_option
@options.log_format_option
def run(config: Path | None, log_format: LogFormat) -> None:
    """Run the daemon: obtain missing certificates, renew those that are due, and deliver them, until stopped.

    On SIGHUP (or 'reload') it reads the settings again; on SIGTERM it withdraws all tokens and stops.

    On a standby of a fleet with an engine, it first waits until the issuer is lost, and takes over.

    A failed certificate never stops it. Exit status: 0 stopped on request, 1 state directory unavailable, 2 invalid
    usage or settings.
    """
    rights.forbid_inspection()
    path = settings_path(config)
    sources = read_sources(path)
    settings = check(sources)
    with _logging_info():
        if run_standby.waits(settings):
            with progress(log_format):
                taking_over = TakingOver(SystemClock())
                if not asyncio.run(run_standby.stand_by(path, Systemd(os.environ), taking_over)):
                    return
            sources = read_sources(path)
            settings = check(sources)
        keep_pauses_short()
        asyncio.run(_run(sources, settings, log_format))


@contextmanager
def _logging_info() -> Iterator[None]:
    """Log from level info on inside the context; other commands log only warnings."""
    loggers = {name: logging.getLogger(name) for name in ("wellkeeper_issuer", "wellkeeper_node")}
    levels = {name: logger.level for name, logger in loggers.items()}
    for logger in loggers.values():
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for name, logger in loggers.items():
            logger.setLevel(levels[name])


async def _run(sources: Sources, settings: Settings, log_format: LogFormat) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, _too_early)
    build.check_keys(settings)
    socket, systemd = socket_path(settings.state_dir), Systemd(os.environ)
    with progress(log_format) as reporting:
        async with _owned(settings, stopping) as owned:
            if owned is None:
                return
            state, held = owned
            warn_of_ephemeral(settings.state_dir)
            broadcast = Broadcast(reporting)
            rehearse, path = _rehearsals(state, broadcast), sources.main.path
            checking = DailyChecks(
                lambda: examine_cheaply(path),
                state.notes,
                lambda: make_notifications(service.settings, state.outbox),
                SystemClock(),
                random.SystemRandom().random,
            )
            heartbeat = _heartbeat(lambda: service.settings)
            activity = Activity()

            factories = Factories(
                _workers(state, held, broadcast, activity),
                rehearse,
                state.forget_lineage,
                systemd.reloading,
                _ready(systemd, lambda: endpoint.settings_changed()),  # noqa: PLW0108 - it is made below
                lambda: {
                    **checking.to_json(),
                    **endpoint.to_json(),
                    "heartbeat": heartbeat.to_json(),
                },
            )
            service = Service(path, settings, factories, broadcast, sources.digest, fingerprint())
            endpoint = StatusEndpoint(service, activity)
            rehearsing = Rehearsing(
                service.kept, lambda lineages: rehearse(service.settings, lineages), state.notes, SystemClock()
            )
            # Requests from the socket end before the service that they use.
            async with _background(service.run()) as serving:
                await _first_of(serving, service.is_ready, stopping)
                if not stopping.is_set():
                    async with (
                        daemon_socket(socket, _handlers(service, state, activity)),
                        endpoint.serving(),
                        _background(_ping_watchdog(systemd)),
                        _background(rehearsing.run()),
                        _background(checking.run()),
                        _background(_sending(service, state).run()),
                        _background(heartbeat.run()),
                    ):
                        await _serve(service, serving, stopping, systemd)
            _log.info("stopped; all tokens were withdrawn, and the next run resumes here")


def _handlers(service: Service, state: State, activity: Activity) -> dict[str, Handler]:
    """Return what answers the commands over the daemon's socket."""
    of_nodes = NodeRequests(state.fleet, state.schedules, SystemClock()).handlers
    of_clients = ExternalRequests(state.attempts, service.slot, SystemClock()).handlers
    return {**service.handlers, **of_nodes, **of_clients, "metrics": _counts(service, activity)}


@asynccontextmanager
async def _owned(settings: Settings, stopping: asyncio.Event) -> AsyncIterator[tuple[State, Held] | None]:
    """Own the state once no command does any longer; None if stopped before.

    To end instead would end the command as well, where both run in one container.
    """
    async with AsyncExitStack() as stack:
        owned, is_reported = None, False
        while owned is None and not stopping.is_set():
            try:
                owned = await stack.enter_async_context(build.owned_state(settings, DAEMON))
            except BusyError as error:
                if not is_reported:
                    _log.info("%s; the daemon starts when it has ended", error.what)
                is_reported = True
                await is_set_within(stopping, _BUSY_SECONDS)
        yield owned


def _workers(
    state: State, held: Held, progress: Progress, activity: Activity
) -> Callable[[Settings], AbstractAsyncContextManager[Worker]]:
    return lambda settings: worker(settings, state, held, progress, activity)


def _ready(systemd: Systemd, changed: Callable[[], None]) -> Callable[[str], None]:
    def ready(status: str) -> None:
        systemd.ready(status)
        changed()

    return ready


def _heartbeat(settings: Callable[[], Settings]) -> Heartbeat:
    # A stop must not wait for handshakes with an nginx that hangs.
    return Heartbeat(lambda: make_pulse(settings()), lambda: run_apart(partial(is_well, settings())), SystemClock())


def _sending(service: Service, state: State) -> Sending:
    return Sending(state.outbox, lambda: make_targets(service.settings), SystemClock())


def _counts(service: Service, activity: Activity) -> Handler:
    async def answer(_request: Message, _tell: Tell) -> Message:
        return {"text": all_metrics.counts(activity, service.started_at, service.factories.checked())}

    return answer


def _rehearsals(
    state: State, progress: Progress
) -> Callable[[Settings, Sequence[Lineage]], Awaitable[Sequence[Rehearsal]]]:
    return lambda settings, lineages: rehearse_all(settings, lineages, progress, state.notes)


async def _serve(service: Service, serving: asyncio.Task[None], stopping: asyncio.Event, systemd: Systemd) -> None:
    """Serve until stopped, or until the worker fails."""
    loop, reloads = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    def hang_up() -> None:
        task = loop.create_task(_reload(service))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, hang_up)
    systemd.ready(service.describe())
    _log.info("started, pid %d: %s", os.getpid(), service.describe())
    try:
        await _first_of(serving, stopping)
    finally:
        systemd.stopping()
        loop.add_signal_handler(signal.SIGHUP, _too_early)
        for task in reloads:
            task.cancel()


def _too_early() -> None:
    """Ignore a SIGHUP during start and stop: the settings were just read, or are no longer needed."""


async def _reload(service: Service) -> None:
    with suppress(WellkeeperError):  # it is logged already
        await service.reload({}, remote.ignore)


async def _ping_watchdog(systemd: Systemd) -> None:
    if systemd.watchdog_seconds is None:
        return
    while True:
        systemd.alive()
        await asyncio.sleep(systemd.watchdog_seconds)


@asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run `work` as a task, cancelled on leaving."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _first_of(task: asyncio.Task[None], *events: asyncio.Event) -> None:
    """Wait until one of the events is set or the task ends; raises the task's error."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait([task, *waits], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
    if task.done():
        task.result()
