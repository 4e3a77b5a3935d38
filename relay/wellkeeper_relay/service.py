"""Run a relay as a service: limits, signals, and the service manager's notifications."""

import asyncio
import gc
import logging
import os
import signal

from wellkeeper_client.systemd import Systemd
from wellkeeper_relay.app import Relay
from wellkeeper_relay.settings import Settings
from wellkeeper_responder.clock import SystemClock
from wellkeeper_responder.listeners import ListenError
from wellkeeper_responder.service import raise_file_limit, report_faults

_log = logging.getLogger(__name__)


async def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT, and return the exit status."""
    loop = asyncio.get_running_loop()
    report_faults(loop)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    systemd = Systemd(os.environ)
    relay = Relay(settings, SystemClock(), raise_file_limit(len(settings.nodes), 1), systemd.status)
    try:
        async with relay:
            # As in the responder: what exists so far stays.
            gc.freeze()
            systemd.ready("waits for the issuer")
            await stop.wait()
            systemd.stopping()
    except ListenError as error:
        _log.error("%s", error)
        return 1
    return 0
