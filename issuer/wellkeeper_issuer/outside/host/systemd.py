"""Tells the service manager how the daemon is (sd_notify(3)), when there is one that listens."""

import os
import socket
import time
from collections.abc import Mapping
from typing import Final

_MICROSECONDS: Final = 1_000_000
# A service manager that does not read for so long has other troubles.
_SECONDS: Final = 1.0


class Systemd:
    """`environment` is that of the process: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are looked at."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        microseconds = environment.get("WATCHDOG_USEC", "")
        is_for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._watchdog = int(microseconds) if microseconds.isdecimal() and is_for_us else 0

    @property
    def watchdog_seconds(self) -> float | None:
        """How often `alive` is to be called: half of what the service manager waits. None: never."""
        return self._watchdog / 2 / _MICROSECONDS if self._watchdog else None

    def ready(self, status: str) -> None:
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        self._tell("RELOADING=1", f"MONOTONIC_USEC={int(time.monotonic() * _MICROSECONDS)}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def alive(self) -> None:
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        """Nothing is lost when nobody hears it: the service manager asks for these, not we."""
        if not self._address:
            return
        # "@" stands for the abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(_SECONDS)
            try:
                out.sendto("\n".join(lines).encode(), address)
            except OSError:
                return
