"""`state.lock`: one process at a time owns the state, and says in the file who it is.

The kernel's lock (flock) decides; the text is for people and may outlive a crash.
"""

import fcntl
import os
import re
from pathlib import Path
from typing import Final

from wellkeeper_issuer.errors import JournalError

# The command that owns the state while a daemon runs.
DAEMON: Final = "run"
_OWNER: Final = re.compile(r"(\d+) ([a-z-]+)\n")


def take_lock(path: Path, command: str) -> int:
    """The descriptor that holds it; raises JournalError naming who has it, and OSError."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()} {command}\n".encode(), 0)
    except BlockingIOError as error:
        refused = JournalError(_refusal(path, os.pread(lock, 100, 0)))
        os.close(lock)
        raise refused from error
    except OSError:
        os.close(lock)
        raise
    return lock


def leave_lock(lock: int) -> None:
    """Raises OSError."""
    try:
        os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def find_owner(path: Path) -> tuple[int, str] | None:
    """The pid and command that the file names, if that process lives; never waits, and never holds the lock itself."""
    try:
        found = _OWNER.fullmatch(path.read_text(errors="replace"))
    except OSError:
        return None
    return (int(found[1]), found[2]) if found and _has_lock(found[1]) else None


def _has_lock(pid: str) -> bool:
    """What a crash left behind names a process that is gone, or by now another one, which has no lock of this kind."""
    if not Path("/proc", pid).exists():
        return False
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return True  # not told to us here
    return any(words[1:2] == ["FLOCK"] and pid in words[4:5] for words in map(str.split, lines))


def _refusal(path: Path, text: bytes) -> str:
    found = _OWNER.fullmatch(text.decode(errors="replace"))
    if found is None:
        return f"another wellkeeper is at work with {path.parent}; wait until it ends ('fuser {path}' names it)"
    pid, command = found.groups()
    remedy = f"stop it first ('kill {pid}'), or leave the work to it" if command == DAEMON else "wait until it ends"
    return f"wellkeeper {command}, pid {pid}, is at work with {path.parent}; {remedy}"
