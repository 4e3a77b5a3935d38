"""Run the agent as a service: signals, the service manager, the trust file, and settings that are read again."""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wellkeeper_client.systemd import Systemd
from wellkeeper_node import settings as node_settings
from wellkeeper_node.agent import learned_keys
from wellkeeper_node.agent.agent import Agent
from wellkeeper_node.agent.build import apply_group, check, read_fleet_keys, running_agent
from wellkeeper_node.agent.keys import PREPARED
from wellkeeper_node.agent.leaving import alone
from wellkeeper_node.agent.links import Link
from wellkeeper_node.agent.waiting import is_set_within
from wellkeeper_node.errors import FleetError, WellkeeperError
from wellkeeper_node.settings import NodeSettings

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 5.0


async def run(path: Path, settings: NodeSettings) -> None:
    """Run with these settings, which are in the file, until SIGTERM or SIGINT. Raises WellkeeperError at the start."""
    # As in the responder: what is loaded so far stays.
    gc.freeze()
    with alone(settings.state_dir):
        await _Service(path, Systemd(os.environ)).run(_Inputs(settings, read_fleet_keys(settings)))


@dataclass(frozen=True, slots=True)
class _Inputs:
    """The values that an agent is made from; changed files are taken only if they can be used."""

    settings: NodeSettings
    fleet_keys: Mapping[str, Ed25519PublicKey]


class _Service:
    """One agent after another: SIGHUP, and other keys or another trust file, start one with the new values."""

    def __init__(self, path: Path, systemd: Systemd) -> None:
        self._path = path
        self._systemd = systemd
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._wake = asyncio.Event()

    async def run(self, inputs: _Inputs) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._ask, self._reload)
        while not self._stop.is_set():
            await apply_group(inputs.settings)
            async with running_agent(inputs.settings, inputs.fleet_keys) as (agent, links):
                self._systemd.ready(f"node {inputs.settings.name}, relays: {', '.join(inputs.settings.relays)}")
                inputs = await self._work(agent, links, inputs)
        self._systemd.stopping()

    def _ask(self, event: asyncio.Event) -> None:
        event.set()
        self._wake.set()

    async def _work(self, agent: Agent, links: list[Link], inputs: _Inputs) -> _Inputs:
        """Run the agent until it has to end; return what the next one is made from. Raises what ended it by itself."""
        task = asyncio.create_task(agent.run(links))
        task.add_done_callback(lambda _: self._wake.set())
        try:
            found = await self._until_over(task, inputs)
        finally:
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.result()
        return found

    async def _until_over(self, task: asyncio.Task[None], inputs: _Inputs) -> _Inputs:
        seconds = min(self._systemd.watchdog_seconds or _LOOK_SECONDS, _LOOK_SECONDS)
        known = _stamps(inputs.settings)
        while not (task.done() or self._stop.is_set()):
            self._wake.clear()
            await is_set_within(self._wake, seconds)
            self._systemd.alive()
            found = _stamps(inputs.settings)
            if self._reload.is_set() or found != known:
                known = found
                new = self._read(inputs)
                if new is not inputs:
                    return new
        return inputs

    def _read(self, former: _Inputs) -> _Inputs:
        """Return what the files say, or if that cannot be used the former values."""
        path = self._path if self._reload.is_set() else None
        if path is not None:
            self._systemd.reloading()
            self._reload.clear()
        try:
            settings = node_settings.read(path) if path is not None else former.settings
            if settings.state_dir != former.settings.state_dir:
                raise FleetError("state_dir changed", "", "Restart wellkeeper-node to use it.")
            new = _Inputs(settings, read_fleet_keys(settings))
            check(settings)
        except WellkeeperError as error:
            _log.error("%s; the former values stay in force", error)
            self._systemd.ready(f"the former values are in force: {error.what}")
            return former
        _log.info("settings and trust file read again")
        return new


def _stamps(settings: NodeSettings) -> object:
    """Return a value that changes with the fleet keys, and once next keys of this node are prepared."""
    files = settings.trust_file, settings.state_dir / learned_keys.FILE, settings.state_dir / PREPARED
    return tuple(map(_stamp, files))


def _stamp(path: Path) -> object:
    """Return a value that changes with the file."""
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
