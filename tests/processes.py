"""Checks of processes that a test started."""

import os
from pathlib import Path


def is_running(pid: int) -> bool:
    """Return False also for a zombie: in a container, process 1 may never reap it."""
    try:
        os.kill(pid, 0)
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
