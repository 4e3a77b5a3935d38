"""Replace the socket of a program that has ended, and no other file."""

import socket
import stat
from pathlib import Path
from typing import Final

_CONNECT_SECONDS: Final = 1.0


def remove_stale(path: Path) -> str:
    """Remove a socket at which no process listens; return why there cannot be a new one and what to do, or ""."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return ""
    if not stat.S_ISSOCK(status.st_mode):
        return "the file exists and is not a socket. Move it away."
    if _is_accepting(path):
        return "another process is listening there. Stop it, or choose another path."
    path.unlink(missing_ok=True)
    return ""


def _is_accepting(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except (BlockingIOError, TimeoutError):
            # Its queue is full, so a process owns it.
            return True
    return True
