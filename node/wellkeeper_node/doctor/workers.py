"""Try with the rights of nginx's workers what they do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from wellkeeper_node.doctor.nginx_process import NOT_FOUND
from wellkeeper_node.doctor.of_errors import NEEDS_ROOT
from wellkeeper_node.doctor.other_user import attempt_as, may_become
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.nginx import masters, processes
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.processes import Ids, Process

REFUSED: Final = "Permission denied"
_ELSEWHERE: Final = "nginx runs in another container, so its files are not visible here"
_NO_WORKERS: Final = "nginx has no workers"


def find_ids(control: Control) -> Ids | str:
    """Return the user and groups of the workers, or why nothing can be tried with their rights."""
    try:
        master = masters.find_master(control.pid_file, control.command)
        found = sorted(processes.workers(master).accepting, key=lambda one: one.pid)
    except ReloadError:
        return NOT_FOUND
    ids = processes.ids_of(found[0]) if found else None
    if ids is None:
        return _NO_WORKERS
    return why_not_tried(master, ids) or ids


def why_not_tried(master: Process, ids: Ids) -> str:
    """Return why nothing can be tried with these rights; "" if it can."""
    if not may_become(ids):
        return NEEDS_ROOT
    return "" if processes.shares_root(master) else _ELSEWHERE


async def attempt(ids: Ids, kind: Literal["read", "connect"], targets: Sequence[str]) -> dict[str, str]:
    """Return the same as `attempt_as`; it starts no process without a target."""
    return await attempt_as(ids, kind, targets) if targets else {}


def barred_folder(ids: Ids, address: str) -> Path | None:
    """Return the outermost directory of a socket that this user may not enter."""
    path = Path(address.removeprefix("unix:"))
    return next((one for one in reversed(path.parents) if not _may_enter(one, ids)), None)


def _may_enter(folder: Path, ids: Ids) -> bool:
    """Return whether the mode lets this user pass."""
    status = folder.stat()
    if status.st_uid == ids.user:
        return bool(status.st_mode & 0o100)
    return bool(status.st_mode & (0o010 if status.st_gid in {ids.group, *ids.groups} else 0o001))
