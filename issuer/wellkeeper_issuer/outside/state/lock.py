"""Lock `state.lock`: one process at a time owns the state, and names itself in the file.

Only the kernel's lock (flock) counts; the text is for people and may outlive a crash. Calls take microseconds and run
on the event loop, so that a cancellation cannot interrupt them.
"""

import asyncio
import fcntl
import logging
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from wellkeeper_client import permissions, services
from wellkeeper_issuer.advice.state import cause_and_remedy
from wellkeeper_issuer.errors import BusyError, JournalError
from wellkeeper_issuer.outside.state.standby import PROMOTE, refuse_standby
from wellkeeper_node import presence

_log = logging.getLogger(__name__)

# The file in state_dir.
LOCK: Final = "state.lock"
# Where `restore` writes what it then renames, and there, in state_dir, the file that is present while it renames.
STAGING: Final = ".wellkeeper-restore"
DECIDED: Final = "decided.json"
RESTORE: Final = "restore"
# The command that owns the state while a daemon runs.
DAEMON: Final = "run"
_OWNER: Final = re.compile(r"(\d+) ([a-z-]+)\n")


class LocalOwnership:
    """Implements `ports.state.Ownership` for the processes of one host, with the file `state.lock` in `state_dir`."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / LOCK

    @asynccontextmanager
    async def hold(self, command: str) -> AsyncIterator["LocalHeld"]:
        try:
            _refuse_shared(self._path.parent)
            if command != RESTORE:
                refuse_incomplete(self._path.parent)
            if command not in {RESTORE, PROMOTE}:
                refuse_standby(self._path.parent)
            lock = _take(self._path, command)
        except OSError as error:
            raise JournalError(f"cannot lock {self._path}", *cause_and_remedy(error)) from error
        try:
            yield LocalHeld(self._path, lock)
        finally:
            _leave(lock)


class LocalHeld:
    """Implements `ports.state.Held`. The lock does not expire, but the file can be deleted or replaced."""

    def __init__(self, path: Path, lock: int) -> None:
        self._path = path
        self._lock = lock
        self._why = ""
        self.lost = asyncio.Event()

    async def extend(self, until: datetime | None = None) -> None:  # noqa: ARG002 - the lock does not expire
        self._why = self._why or _why_lost(self._path, self._lock)
        if self._why:
            self.lost.set()
            raise JournalError(
                f"this process (pid {os.getpid()}) no longer owns {self._path.parent}",
                self._why,
                "Make sure that nothing deletes or replaces state_dir or its files, then start it again.",
            )


def find_owner(path: Path) -> tuple[int, str] | None:
    """Return pid and command in the file if that process holds the lock. Never waits and never takes the lock."""
    try:
        found = _OWNER.fullmatch(path.read_text(errors="replace"))
    except OSError:
        return None
    return (int(found[1]), found[2]) if found and _has_lock(found[1]) else None


def _refuse_shared(state_dir: Path) -> None:
    """Raise JournalError if other users may change the state; warn if they may read it."""
    files = list(state_dir.glob("state.*"))
    faults = map(permissions.fault_of, files)
    if fault := permissions.find_fault(state_dir) or next(filter(None, faults), None):
        raise JournalError(f"cannot trust {state_dir}", fault.why, fault.remedy)
    is_open = state_dir.stat().st_mode & 0o011
    if is_open and (read := next(filter(permissions.is_readable_by_others, files), None)):
        _log.warning("other users may read %s: run 'chmod go= %s'", read, state_dir)


def refuse_incomplete(state_dir: Path) -> None:
    """Raise JournalError if a restore was interrupted while it put its files in place."""
    if presence.exists(state_dir / STAGING / DECIDED):
        why, remedy = "a restore was interrupted there", "Run 'wellkeeper restore' with the same file to complete it."
        raise JournalError(f"cannot use {state_dir}", why, remedy)


def _take(path: Path, command: str) -> int:
    """Return the descriptor that holds the lock. Raises JournalError naming the owner, and OSError."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()} {command}\n".encode(), 0)
    except BlockingIOError as error:
        refused = _refusal(path, os.pread(lock, 100, 0))
        os.close(lock)
        raise refused from error
    except OSError:
        os.close(lock)
        raise
    return lock


def _leave(lock: int) -> None:
    with suppress(OSError):  # the text is for people, and may be stale
        os.ftruncate(lock, 0)
    os.close(lock)


def _why_lost(path: Path, lock: int) -> str:
    """Return why the lock is lost; "" while the path names the file that we have locked."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # changes nothing while we have the lock
        is_replaced = not os.path.samestat(path.stat(), os.fstat(lock))
    except BlockingIOError:
        return f"another process has locked {path.name}"
    except FileNotFoundError:
        return f"{path.name} was deleted"
    except OSError as error:
        return f"{path.name} cannot be checked: {error.strerror}"
    return f"{path.name} was replaced by another file" if is_replaced else ""


def _has_lock(pid: str) -> bool:
    """Return True if the process has a flock. A crash leaves the pid of a dead process, perhaps reused by another."""
    if not Path("/proc", pid).exists():
        return False
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return True  # unknown here
    return any(words[1:2] == ["FLOCK"] and pid in words[4:5] for words in map(str.split, lines))


def _refusal(path: Path, text: bytes) -> JournalError:
    found = _OWNER.fullmatch(text.decode(errors="replace"))
    if found is None:
        what, remedy = "Another Wellkeeper process is changing", f"Wait until it ends ('fuser {path}' shows its pid)."
        return BusyError(f"{what} {path.parent}", remedy=remedy)
    if found[2] == DAEMON:
        stop = services.sentence("stop", "wellkeeper").removesuffix(".")
        what = f"A Wellkeeper daemon (pid {found[1]}) already manages"
        return JournalError(f"{what} {path.parent}", remedy=f"{stop} first.")
    what = f"'wellkeeper {found[2]}' (pid {found[1]}) is changing {path.parent}"
    return BusyError(what, remedy="Wait until it ends.")
