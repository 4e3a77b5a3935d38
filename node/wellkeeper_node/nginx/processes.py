"""The running nginx as /proc shows it: its master, its workers, and the signal that makes it reload.

A process is named by id and start time, for ids are used again. Linux only.
"""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wellkeeper_node.errors import ReloadError

_PROC: Final = Path("/proc")
_MASTER_TITLE: Final = "nginx: master process"
_WORKER_TITLE: Final = "worker process"
# ngx_process_cycle.c appends this as soon as a worker has closed its listening sockets.
_LEAVING_TITLE: Final = "shutting down"
_ELSEWHERE: Final = (
    "if nginx runs in another container, its processes are not visible here, and a reload cannot be proven:"
    " run the issuer where nginx runs"
)


@dataclass(frozen=True, slots=True)
class Process:
    """`started_at` is in clock ticks after boot (field 22 of /proc/PID/stat)."""

    pid: int
    started_at: int


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers of one moment: those that accept connections and those that only finish what they have."""

    accepting: frozenset[Process]
    leaving: frozenset[Process]


def find_master(pid_file: Path) -> Process:
    """The master that the pid file names. Raises ReloadError saying why there is none."""
    _check_no_upgrade(pid_file)
    pid = _read_pid(pid_file)
    master = _process(pid)
    if master is None:
        raise ReloadError(
            f"nginx is not running: {pid_file} names process {pid}, which does not exist;"
            f" start nginx ('systemctl start nginx'); {_ELSEWHERE}"
        )
    title = _title(pid)
    if not title.startswith(_MASTER_TITLE):
        raise ReloadError(
            f"process {pid}, which {pid_file} names, is no nginx master but {title[:80] or 'unknown'!r}: the file is"
            f" stale, or nginx runs with 'master_process off'; restart nginx; {_ELSEWHERE}"
        )
    return master


def is_running(master: Process) -> bool:
    """Whether it is still the same process."""
    return _process(master.pid) == master and _title(master.pid) != ""


def workers(master: Process) -> Workers:
    """Raises ReloadError when /proc does not show them."""
    accepting: set[Process] = set()
    leaving: set[Process] = set()
    for process in _children(master.pid):
        title = _title(process.pid)
        if _WORKER_TITLE in title:
            (leaving if _LEAVING_TITLE in title else accepting).add(process)
    return Workers(frozenset(accepting), frozenset(leaving))


def hang_up(master: Process) -> None:
    """Sends SIGHUP to this very process, never to a successor with its id. Raises ReloadError."""
    try:
        descriptor = os.pidfd_open(master.pid)
        try:
            if not is_running(master):
                raise ReloadError(f"nginx (process {master.pid}) ended before it could be told to reload")
            signal.pidfd_send_signal(descriptor, signal.SIGHUP)
        finally:
            os.close(descriptor)
    except PermissionError as error:
        raise ReloadError(
            f"uid {os.geteuid()} may not signal nginx (process {master.pid}): run the issuer as root or as nginx's own"
            ' user, or set nginx.reload_command, for instance ["sudo", "-n", "systemctl", "reload", "nginx"]'
        ) from error
    except OSError as error:
        raise ReloadError(f"nginx (process {master.pid}) could not be signalled: {error.strerror}") from error


def error_log(master: Process) -> Path | None:
    """The main error log: nginx makes it its standard error. None when that is no file, or may not be seen."""
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
            f"a binary upgrade of nginx is under way ({old} names process {pid}, which runs): finish it"
            f" ('kill -QUIT {pid}') or go back ('kill -HUP {pid}', then QUIT to the new master), then run renew again"
        )


def _read_pid(pid_file: Path) -> int:
    try:
        text = pid_file.read_text(errors="replace").strip()
    except FileNotFoundError as error:
        raise ReloadError(
            f"nginx is not running, or {pid_file} is not its pid file: start nginx, or set nginx.pid_file to what"
            " the 'pid' line of 'nginx -T' says ('nginx -V' shows the default)"
        ) from error
    except OSError as error:
        raise ReloadError(f"the pid file {pid_file} cannot be read: {error.strerror}") from error
    if not text:
        raise ReloadError(
            f"nginx is not running: {pid_file} is empty ('nginx -t' leaves it so when no nginx runs); start nginx"
        )
    if not text.isascii() or not text.isdigit():
        raise ReloadError(f"{pid_file} holds {text[:40]!r}, which is no process id; restart nginx")
    return int(text)


def _process(pid: int) -> Process | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The second field, the name in brackets, may contain anything.
    return Process(pid, int(stat.rpartition(")")[2].split()[19]))


def _title(pid: int) -> str:
    """Empty for a process that is gone or a zombie."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _children(pid: int) -> Iterator[Process]:
    try:
        text = (_PROC / str(pid) / "task" / str(pid) / "children").read_text()
    except OSError as error:
        raise ReloadError(
            f"the workers of nginx (process {pid}) cannot be seen in /proc: {error.strerror}; a reload cannot be proven"
        ) from error
    for child in text.split():
        process = _process(int(child))
        if process is not None:
            yield process
