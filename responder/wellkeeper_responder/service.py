"""Run a responder as a service: limits, signals, the trust file, and the service manager's notifications."""

import asyncio
import errno
import gc
import logging
import os
import resource
import signal
from pathlib import Path
from typing import Any, Final

from wellkeeper_client.systemd import Systemd
from wellkeeper_client.trust_file import Trust
from wellkeeper_responder.app import Responder
from wellkeeper_responder.capacity import Limits, limits_for, wanted_files
from wellkeeper_responder.clock import SystemClock
from wellkeeper_responder.listeners import ListenError
from wellkeeper_responder.settings import Settings
from wellkeeper_responder.trust import LOOK_SECONDS, TrustFile

_log = logging.getLogger(__name__)

# Accepting pauses for a second each time that no file can be opened.
_REPORT_SECONDS: Final = 60.0
_OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


async def run(settings: Settings, trust_path: Path | None) -> int:
    """Run with the trust file at this absolute path, if any, until SIGTERM or SIGINT, and return the exit status."""
    loop = asyncio.get_running_loop()
    report_faults(loop)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    systemd = Systemd(os.environ)
    responder = Responder(settings, SystemClock(), raise_file_limit(len(settings.public), len(settings.control)))
    followed = _FollowedTrust(trust_path, settings, responder, systemd)
    loop.add_signal_handler(signal.SIGHUP, followed.reload)
    followed.read()
    try:
        async with responder:
            # All objects so far stay alive; scanning them in each collection would delay answers by 60 ms.
            gc.freeze()
            followed.start()
            await stop.wait()
            systemd.stopping()
    except ListenError as error:
        _log.error("%s", error)
        return 1
    return 0


class _FollowedTrust:
    """The trust file, if there is one: read at the start, on SIGHUP, and when it changes."""

    def __init__(self, path: Path | None, settings: Settings, responder: Responder, systemd: Systemd) -> None:
        def take(trust: Trust) -> None:
            responder.replace_trust(settings.trust | trust)

        self._file = TrustFile(path, take, settings.trust, settings.trust_owner) if path else None
        self._systemd = systemd
        self._reported = ""

    @property
    def _status(self) -> str:
        return self._file.status if self._file else "trusts the values of its options"

    def read(self) -> None:
        if self._file:
            self._file.read()

    def start(self) -> None:
        """Report that all listeners are open, and look at the file regularly."""
        self._reported = self._status
        self._systemd.ready(self._status)
        if self._file:
            self._look(self._file)

    def reload(self) -> None:
        """Read the file now."""
        if self._file is None:
            _log.info("nothing to reload: this responder has no --trust file")
        self._systemd.reloading()
        self.read()
        self._reported = self._status
        self._systemd.ready(self._status)

    def _look(self, file: TrustFile) -> None:
        # Scheduled first: a look that fails for an unknown reason is reported by the loop and does not end all looks.
        asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look, file)
        file.look()
        if self._reported != file.status:
            self._reported = file.status
            self._systemd.status(file.status)


def raise_file_limit(public: int, control: int) -> Limits:
    """Return the limits of connections, and raise the soft limit on files: the usual one (1024) is too low for them.

    `public` and `control` are the numbers of listeners.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = wanted_files(public, control)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        _log.warning("the limit on open files is %d, too low for all connections; set LimitNOFILE=%d", hard, wanted)
        wanted = hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limits_for(wanted, public, control)


def report_faults(loop: asyncio.AbstractEventLoop) -> None:
    """Log failures of the event loop; of those to accept connections, one per minute."""
    next_at = 0.0

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal next_at
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _OUT_OF_RESOURCES:
            loop.default_exception_handler(context)
        elif loop.time() >= next_at:
            next_at = loop.time() + _REPORT_SECONDS
            _log.error("cannot accept connections: %s; raise the limit on open files", error.strerror)

    loop.set_exception_handler(report)
