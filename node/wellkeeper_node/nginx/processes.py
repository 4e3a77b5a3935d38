"""The processes of the running nginx from /proc, and the signal that makes its master reload.

A process is identified by its id and start time, because ids are reused. Linux only.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wellkeeper_client import services
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.wording import with_reload

PROC: Final = Path("/proc")
_WORKER_TITLE: Final = "worker process"
# ngx_process_cycle.c appends this as soon as a worker has closed its listening sockets.
_LEAVING_TITLE: Final = "shutting down"
_AS_ITS_USER: Final = "Run this program as root or as nginx's user"
_WITH_SUDO: Final = 'nginx.reload_command = ["sudo", "-n", "systemctl", "reload", "nginx"]'


@dataclass(frozen=True, slots=True)
class Process:
    """`started_at` is in clock ticks after boot (field 22 of /proc/PID/stat)."""

    pid: int
    started_at: int


@dataclass(frozen=True, slots=True)
class Ids:
    """The numeric user, group and other groups with whose rights a process runs."""

    user: int
    group: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers at one moment: those that accept connections and those that only finish requests."""

    accepting: frozenset[Process]
    leaving: frozenset[Process]


def is_running(master: Process) -> bool:
    """Return True while it is the same process."""
    return find_process(master.pid) == master and title_of(master.pid) != ""


def workers(master: Process) -> Workers:
    """Return the workers of the master. Raises ReloadError when /proc does not show them."""
    accepting: set[Process] = set()
    leaving: set[Process] = set()
    for process in children_of(master.pid):
        title = title_of(process.pid)
        if _WORKER_TITLE in title:
            (leaving if _LEAVING_TITLE in title else accepting).add(process)
    return Workers(frozenset(accepting), frozenset(leaving))


def ids_of(process: Process) -> Ids | None:
    """Return the effective ids of the process; None after its end."""
    found = _status(process.pid)
    if not found:
        return None
    user, group = (int(found[key].split()[1]) for key in ("Uid", "Gid"))
    return Ids(user, group, tuple(map(int, found["Groups"].split())))


def parent_of(pid: int) -> int:
    """Return the id of the parent; 0 after the end of the process."""
    return int(_status(pid).get("PPid", "0"))


def namespace_pids(pid: int) -> tuple[int, ...]:
    """Return the ids of the process in each PID namespace, from that of /proc to its own; none after its end."""
    return tuple(map(int, _status(pid).get("NSpid", "").split()))


def shares_root(process: Process) -> bool:
    """Return whether paths mean the same files there and here; True if that is unknown."""
    with contextlib.suppress(OSError):
        return (PROC / str(process.pid) / "root").samefile("/")
    return True


def hang_up(master: Process, number: int = signal.SIGHUP) -> None:
    """Send SIGHUP to this process, never to another with the same id. Raises ReloadError.

    The number 0 sends nothing, and only checks the right to signal.
    """
    try:
        descriptor = os.pidfd_open(master.pid)
        try:
            if not is_running(master):
                raise ReloadError(
                    "cannot reload nginx",
                    f"its master (process {master.pid}) ended before it got the signal",
                    "Check that nginx runs, then run 'wellkeeper renew' again.",
                )
            signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)
    except PermissionError as error:
        raise ReloadError(
            "cannot reload nginx",
            f"uid {os.geteuid()} may not signal nginx (process {master.pid})",
            remedy_of_denial(has_systemd=services.is_booted()),
        ) from error
    except OSError as error:
        raise ReloadError(f"cannot signal nginx (process {master.pid})", error.strerror or str(error)) from error


def remedy_of_denial(*, has_systemd: bool) -> str:
    """Return what to do if this user may not signal nginx."""
    return with_reload(f"{_AS_ITS_USER}, or set {_WITH_SUDO}.") if has_systemd else f"{_AS_ITS_USER}."


def error_log(master: Process) -> Path | None:
    """Return the main error log, which is nginx's standard error; None when that is not a file or not visible."""
    open_file = PROC / str(master.pid) / "fd" / "2"
    try:
        path = open_file.readlink() if shares_root(master) else open_file
    except OSError:
        return None
    return path if path.is_file() else None


def _status(pid: int) -> dict[str, str]:
    """Return the fields of /proc/PID/status; none after the end of the process."""
    try:
        lines = (PROC / str(pid) / "status").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return dict(line.split(":", 1) for line in lines if ":" in line)


def find_process(pid: int) -> Process | None:
    """Return the process with this id now."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The second field, the name in brackets, may contain anything.
    return Process(pid, int(stat.rpartition(")")[2].split()[19]))


def title_of(pid: int) -> str:
    """Return the command line; empty for a zombie or a process that ended."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def children_of(pid: int) -> Iterator[Process]:
    """Yield the children of the process. Raises ReloadError when /proc does not show them."""
    try:
        text = (PROC / str(pid) / "task" / str(pid) / "children").read_text()
    except OSError as error:
        raise ReloadError(
            f"cannot verify a reload: the workers of nginx (process {pid}) are not visible in /proc",
            error.strerror or str(error),
            "Run the issuer where it can read /proc of the nginx processes.",
        ) from error
    for child in text.split():
        process = find_process(int(child))
        if process is not None:
            yield process
