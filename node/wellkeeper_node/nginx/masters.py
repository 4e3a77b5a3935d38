"""Find nginx's master: the one that its pid file names, or the only one in this PID namespace.

The master of a pid file can be the wrong process: the file may be stale, empty, or of another container.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from wellkeeper_client import services
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.nginx import processes
from wellkeeper_node.nginx.processes import Ids, Process
from wellkeeper_node.wording import with_reload

_MASTER_TITLE: Final = re.compile(r"([^\s:]+): master process\b")
# Other programs have such titles, too, such as "php-fpm: master process (/etc/php/…)".
_KNOWN: Final = frozenset({"nginx", "angie", "freenginx", "openresty", "tengine"})
_DELETED: Final = " (deleted)"
_RUN_THERE: Final = (
    "if it runs in another container, share its PID namespace, use nginx.agent, or run this program there"
    " (docs/reaching-nginx.md)"
)
# The options of nginx that decide which configuration it runs with.
_PLACES: Final = ("-c", "-p")
_SHOWN_TITLE: Final = 80
_SHOWN_MASTERS: Final = 5


class _UnnamedError(ReloadError):
    """The pid file names no master."""


def find_master(pid_file: Path | None, command: Sequence[str] = ()) -> Process:
    """Return the master that the pid file names, or without one the only one here. Raises ReloadError.

    A master of a program that we do not know must run the program of `command`. If the file names none although one
    runs with the arguments of `command`, the error names that one.
    """
    if pid_file is None:
        return _only_master(command)
    _check_no_upgrade(pid_file, command)
    try:
        return _named_master(pid_file, command)
    except _UnnamedError as error:
        masters = running_masters(command) if command else ()
        if len(masters) == 1:
            pid = masters[0].pid
            why, remedy = f"{error.why}, but nginx runs as process {pid}", f"Run 'echo {pid} >{pid_file}'."
            if not pid_file.exists():
                remedy = with_reload(
                    f"{remedy} If the 'pid' line of 'nginx -T' has another path, set nginx.pid_file to it."
                )
            raise ReloadError("cannot find the nginx master", why, remedy) from error
        raise


def running_masters(command: Sequence[str]) -> tuple[Process, ...]:
    """Return the masters that run with the same `-c` and `-p` as `command`, outside of other containers."""
    wanted = places(command)
    return tuple(one for one in _masters(command) if places(processes.title_of(one.pid).split()) == wanted)


def _masters(command: Sequence[str]) -> tuple[Process, ...]:
    """Return the masters in this PID namespace; not their children, which for an instant have the same title."""
    found = dict[int, Process]()
    for path in processes.PROC.iterdir():
        if path.name.isdigit() and _is_master(pid := int(path.name), command) and _is_near(pid):
            process = processes.find_process(pid)
            if process is not None:
                found[pid] = process
    return tuple(one for pid, one in sorted(found.items()) if processes.parent_of(pid) not in found)


def _only_master(command: Sequence[str]) -> Process:
    """Return the one master here whose user is root or our own. Raises ReloadError when it is not exactly one."""
    every = {one: processes.ids_of(one) for one in _masters(command)}
    found = {one: ids for one, ids in every.items() if ids is not None and ids.user in {0, os.geteuid()}}
    if len(found) == 1:
        master = next(iter(found))
        _check_no_new_master(master, command)
        return master
    if found:
        raise ReloadError(
            "cannot choose between several nginx masters",
            _described(found),
            with_reload("Set nginx.pid_file to the pid file of the one that serves the certificates."),
        )
    if every:
        raise ReloadError(
            f"cannot use the nginx here: its master runs neither as root nor as uid {os.geteuid()}",
            _described(every),
            "Run nginx and this program with the same uid and gid.",
        )
    raise ReloadError(
        "cannot find the nginx master",
        "no nginx runs in the PID namespace of this program",
        f"Start nginx; {_RUN_THERE}.",
    )


def _described(masters: Mapping[Process, Ids | None]) -> str:
    """Return process id, user and command line of each, the first few of many."""
    parts = [
        f"process {one.pid} (uid {ids.user if ids else 'unknown'}): {processes.title_of(one.pid)[:_SHOWN_TITLE]!r}"
        for one, ids in masters.items()
    ]
    return "; ".join(parts[:_SHOWN_MASTERS])


def _check_no_new_master(master: Process, command: Sequence[str]) -> None:
    """Raise ReloadError while a new master, which a binary upgrade started, has workers beside this one."""
    for one in processes.children_of(master.pid):
        if _is_master(one.pid, command) and processes.workers(one).accepting:
            raise _upgrade(f"process {one.pid} is the new master", master.pid)


def _named_master(pid_file: Path, command: Sequence[str]) -> Process:
    pid = _read_pid(pid_file)
    master = processes.find_process(pid)
    if master is None:
        raise _UnnamedError(
            "nginx is not running",
            f"{pid_file} names process {pid}, which does not exist",
            f"{services.sentence('start', 'nginx').removesuffix('.')}; {_RUN_THERE}.",
        )
    if not _is_master(pid, command):
        raise _UnnamedError(
            "cannot find the nginx master",
            f"{pid_file} names process {pid}, which is not an nginx master but"
            f" {processes.title_of(pid)[:_SHOWN_TITLE] or 'unknown'!r}",
            f"Restart nginx: the file is stale, or nginx runs with 'master_process off'; {_RUN_THERE}.",
        )
    return master


def _check_no_upgrade(pid_file: Path, command: Sequence[str]) -> None:
    old = pid_file.with_name(f"{pid_file.name}.oldbin")
    try:
        pid = int(old.read_text())
    except (OSError, ValueError):
        return
    if _is_master(pid, command):
        raise _upgrade(f"{old} names process {pid}, which still runs", pid)


def _upgrade(why: str, pid: int) -> ReloadError:
    return ReloadError(
        "a binary upgrade of nginx is in progress",
        why,
        f"Finish the upgrade ('kill -QUIT {pid}') or undo it ('kill -HUP {pid}', then QUIT the new master).",
    )


def _read_pid(pid_file: Path) -> int:
    try:
        text = pid_file.read_text(errors="replace").strip()
    except FileNotFoundError as error:
        raise _UnnamedError(
            "cannot find the nginx master",
            f"{pid_file} does not exist",
            with_reload(
                "Start nginx, or set nginx.pid_file to the path in the 'pid' line of 'nginx -T' (default: 'nginx -V')."
            ),
        ) from error
    except OSError as error:
        raise ReloadError(f"cannot read the pid file {pid_file}", error.strerror or str(error)) from error
    if not text:
        raise _UnnamedError(
            "nginx is not running",
            f"{pid_file} is empty: 'nginx -t' creates such a file if there is none",
            services.sentence("start", "nginx"),
        )
    if not text.isascii() or not text.isdigit():
        raise _UnnamedError(
            "cannot find the nginx master", f"{pid_file} contains {text[:40]!r}, not a process id", "Restart nginx."
        )
    return int(text)


def places(words: Sequence[str]) -> dict[str, str]:
    """Return the values of these options, joined to them or in the next word; Angie puts its words into brackets."""
    found = dict[str, str]()
    for number, word in enumerate(words):
        if word[:2] in _PLACES:
            value = word[2:] or "".join(words[number + 1 : number + 2])
            found[word[:2]] = value.rstrip("]").rstrip("/")
    return found


def _is_master(pid: int, command: Sequence[str]) -> bool:
    """Return whether it is the master of an nginx: of a program that we know, or of the program of `command`."""
    title = _MASTER_TITLE.match(processes.title_of(pid))
    return title is not None and (title[1] in _KNOWN or _runs(pid, command))


def _runs(pid: int, command: Sequence[str]) -> bool:
    """Return whether the process runs the program of the command; its file may be replaced since, by an upgrade."""
    program = shutil.which(command[0]) if command else None
    with contextlib.suppress(OSError):
        running = str((processes.PROC / str(pid) / "exe").readlink()).removesuffix(_DELETED)
        return program is not None and os.path.realpath(program) == running
    return False


def _is_near(pid: int) -> bool:
    """Return False for a process of another container, whose PID namespace is inside ours."""
    return len(processes.namespace_pids(pid)) <= len(processes.namespace_pids(os.getpid()))
