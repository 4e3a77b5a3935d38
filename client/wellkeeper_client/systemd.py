"""Report a service's state to the service manager, if there is one (sd_notify(3))."""

import os
import socket
import time
from collections.abc import Mapping
from typing import Final

_MICROSECONDS: Final = 1_000_000
# A service manager that does not read for that long has other problems.
_SECONDS: Final = 1.0


class Systemd:
    """The service manager. Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the process's `environment`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        microseconds = environment.get("WATCHDOG_USEC", "")
        is_for_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._watchdog = int(microseconds) if microseconds.isdecimal() and is_for_us else 0

    @property
    def watchdog_seconds(self) -> float | None:
        """Interval of calls of `alive`: half of the watchdog's time-out; None without a watchdog."""
        return self._watchdog / 2 / _MICROSECONDS if self._watchdog else None

    def ready(self, status: str) -> None:
        self._send("READY=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        """Change only the line that `systemctl status` shows."""
        self._send(f"STATUS={text}")

    def reloading(self) -> None:
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(time.monotonic() * _MICROSECONDS)}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        """Send the lines; ignore errors, since the notifications matter only to the service manager."""
        if not self._address:
            return
        # "@" means the abstract namespace.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(_SECONDS)
            try:
                out.sendto("\n".join(lines).encode(), address)
            except OSError:
                return
