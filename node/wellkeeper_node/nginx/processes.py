"""The processes of the running nginx from /proc, and the signal that makes its master reload.

A process is identified by its id and start time, because ids are reused. Linux only.
"""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wellkeeper_node.errors import ReloadError
from wellkeeper_node.wording import with_reload

_PROC: Final = Path("/proc")
_MASTER_TITLE: Final = "nginx: master process"
_WORKER_TITLE: Final = "worker process"
# ngx_process_cycle.c appends this as soon as a worker has closed its listening sockets.
_LEAVING_TITLE: Final = "shutting down"
_RUN_THERE: Final = "if it runs in another container, run the issuer there"


@dataclass(frozen=True, slots=True)
class Process:
    """`started_at` is in clock ticks after boot (field 22 of /proc/PID/stat)."""

    pid: int
    started_at: int


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers at one moment: those that accept connections and those that only finish requests."""

    accepting: frozenset[Process]
    leaving: frozenset[Process]


def find_master(pid_file: Path) -> Process:
    """Return the master that the pid file names. Raises ReloadError."""
    _check_no_upgrade(pid_file)
    pid = _read_pid(pid_file)
    master = _process(pid)
    if master is None:
        raise ReloadError(
            "nginx is not running",
            f"{pid_file} names process {pid}, which does not exist",
            f"Start nginx ('systemctl start nginx'); {_RUN_THERE}.",
        )
    title = _title(pid)
    if not title.startswith(_MASTER_TITLE):
        raise ReloadError(
            f"process {pid}, which {pid_file} names, is not an nginx master but {title[:80] or 'unknown'!r}",
            "the file is stale, or nginx runs with 'master_process off'",
            f"Restart nginx; {_RUN_THERE}.",
        )
    return master


def is_running(master: Process) -> bool:
    """Return True while it is the same process."""
    return _process(master.pid) == master and _title(master.pid) != ""


def workers(master: Process) -> Workers:
    """Return the workers of the master. Raises ReloadError when /proc does not show them."""
    accepting: set[Process] = set()
    leaving: set[Process] = set()
    for process in _children(master.pid):
        title = _title(process.pid)
        if _WORKER_TITLE in title:
            (leaving if _LEAVING_TITLE in title else accepting).add(process)
    return Workers(frozenset(accepting), frozenset(leaving))


def hang_up(master: Process) -> None:
    """Send SIGHUP to this process, never to another with the same id. Raises ReloadError."""
    try:
        descriptor = os.pidfd_open(master.pid)
        try:
            if not is_running(master):
                raise ReloadError(
                    "cannot reload nginx",
                    f"its master (process {master.pid}) ended before it got the signal",
                    "Check that nginx runs, then run 'wellkeeper renew' again.",
                )
            signal.pidfd_send_signal(descriptor, signal.SIGHUP)
        finally:
            os.close(descriptor)
    except PermissionError as error:
        raise ReloadError(
            "cannot reload nginx",
            f"uid {os.geteuid()} may not signal nginx (process {master.pid})",
            with_reload(
                'Run the issuer as root, or set nginx.reload_command = ["sudo", "-n", "systemctl", "reload", "nginx"].'
            ),
        ) from error
    except OSError as error:
        raise ReloadError(f"cannot signal nginx (process {master.pid})", error.strerror or str(error)) from error


def error_log(master: Process) -> Path | None:
    """Return the main error log, which is nginx's standard error; None when that is not a file or not visible."""
    try:
        path = (_PROC / str(master.pid) / "fd" / "2").readlink()
    except OSError:
        return None
    return path if path.is_file() else None


def _check_no_upgrade(pid_file: Path) -> None:
    old = pid_file.with_name(f"{pid_file.name}.oldbin")
    try:
        pid = int(old.read_text())
    except (OSError, ValueError):
        return
    if _title(pid).startswith(_MASTER_TITLE):
        raise ReloadError(
            "a binary upgrade of nginx is in progress",
            f"{old} names process {pid}, which still runs",
            f"Finish the upgrade ('kill -QUIT {pid}') or undo it ('kill -HUP {pid}', then QUIT the new master).",
        )


def _read_pid(pid_file: Path) -> int:
    try:
        text = pid_file.read_text(errors="replace").strip()
    except FileNotFoundError as error:
        raise ReloadError(
            "cannot find the nginx master",
            f"{pid_file} does not exist",
            with_reload(
                "Start nginx, or set nginx.pid_file to the path in the 'pid' line of 'nginx -T' (default: 'nginx -V')."
            ),
        ) from error
    except OSError as error:
        raise ReloadError(f"cannot read the pid file {pid_file}", error.strerror or str(error)) from error
    if not text:
        raise ReloadError(
            "nginx is not running",
            f"{pid_file} is empty, as 'nginx -t' leaves it when nginx does not run",
            "Start nginx ('systemctl start nginx').",
        )
    if not text.isascii() or not text.isdigit():
        raise ReloadError(
            "cannot find the nginx master", f"{pid_file} contains {text[:40]!r}, not a process id", "Restart nginx."
        )
    return int(text)


def _process(pid: int) -> Process | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The second field, the name in brackets, may contain anything.
    return Process(pid, int(stat.rpartition(")")[2].split()[19]))


def _title(pid: int) -> str:
    """Return the command line; empty for a zombie or a process that ended."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _children(pid: int) -> Iterator[Process]:
    try:
        text = (_PROC / str(pid) / "task" / str(pid) / "children").read_text()
    except OSError as error:
        raise ReloadError(
            f"cannot verify a reload: the workers of nginx (process {pid}) are not visible in /proc",
            error.strerror or str(error),
            "Run the issuer where it can read /proc of the nginx processes.",
        ) from error
    for child in text.split():
        process = _process(int(child))
        if process is not None:
            yield process
