"""run on a standby: wait until this host has taken over, or a person has promoted it."""

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import Final

from wellkeeper_client.systemd import Systemd
from wellkeeper_issuer.assembly import build
from wellkeeper_issuer.assembly.notifications import make_notifications
from wellkeeper_issuer.assembly.taking_over import Host, TakingOver, Waits
from wellkeeper_issuer.commands.backing_up.standby import read_node
from wellkeeper_issuer.commands.promote import next_steps
from wellkeeper_issuer.outside.state.lock import DAEMON
from wellkeeper_issuer.outside.state.standby import Standby, Watch, read_standby, write_watch
from wellkeeper_issuer.records import Notice
from wellkeeper_issuer.settings import Settings, read_settings
from wellkeeper_node.agent.waiting import is_set_within
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import WellkeeperError

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 5.0


def waits(settings: Settings) -> bool:
    """Return whether this host is a standby that can take over by itself. Raises JournalError."""
    return bool(settings.fleet.engine.address) and read_standby(settings.state_dir) is not None


async def stand_by(path: Path, systemd: Systemd, taking_over: TakingOver) -> bool:
    """Wait, and let newer backups be restored meanwhile; return False if it was stopped before this is the issuer."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, _ignore)
    last, is_ready = "", False
    while not stopping.is_set():
        found = await _look(path, taking_over)
        if found is None:
            break
        if found.what != last:
            _log.info("standby, pid %d: %s", os.getpid(), found.why)
            last = found.what
        if not is_ready:
            systemd.ready("waits as a standby")
            is_ready = True
        systemd.alive()
        await is_set_within(stopping, _LOOK_SECONDS)
    if stopping.is_set():  # also in the middle of a takeover: the next start continues as the issuer
        systemd.stopping()
    return not stopping.is_set()


def _ignore() -> None:
    """Ignore a SIGHUP: each look reads the settings again."""


async def _look(path: Path, taking_over: TakingOver) -> Waits | None:
    """Look once at what is on disk now. What fails is a reason to wait."""
    try:
        settings = await asyncio.to_thread(read_settings, path)
        standby = await asyncio.to_thread(read_standby, settings.state_dir)
    except WellkeeperError as error:
        return Waits(str(error), str(error))
    if standby is None:  # a person was faster
        return None
    try:
        found = await taking_over.look(Host(settings, standby, await asyncio.to_thread(read_node)))
    except (WellkeeperError, OSError) as error:  # such as of a file that 'restore' replaces meanwhile
        found = Waits(str(error), str(error))
    if found is None:
        await _report(settings, standby)
    else:
        _show(settings.state_dir, found)
    return found


def _show(state_dir: Path, found: Waits) -> None:
    try:
        write_watch(state_dir, Watch(SystemClock().now(), found.why, found.is_expected))
    except OSError as error:
        _log.warning("'status' cannot show what this standby waits for: %s", error)


async def _report(settings: Settings, standby: Standby) -> None:
    """Say what has happened, and what is left for a person."""
    what = f"this host has taken over from the issuer on {standby.host}, which no node hears from any more"
    steps = " ".join(next_steps(standby, is_running=True))
    _log.warning("%s. %s", what, steps)
    try:
        async with build.owned_state(settings, DAEMON) as (state, _):
            await make_notifications(settings, state.outbox).send(Notice.FINDING, "", f"{what}. {steps}")
    except WellkeeperError as error:
        _log.error("%s", error)
