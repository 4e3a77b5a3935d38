"""Find who else may change a file: such users would decide what a program does.

The rules are those of sshd's StrictModes: the file, its directory and all directories above belong to root or to the
user of this process, and no one else may write to them. Sticky directories and read-only mounts are harmless. In a
container, so are volumes: Kubernetes makes them writable by all users, and who mounts one decides who can reach it.
"""

import itertools
import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wellkeeper_client import services

# "1" in the environment, as in our images: volumes, which are mounted directories of root, may have any mode.
VOLUMES: Final = "WELLKEEPER_TRUSTS_VOLUMES"


@dataclass(frozen=True, slots=True)
class Fault:
    """The reason why others may change a file, and the command that prevents it."""

    why: str
    remedy: str


def find_fault(path: Path, owner: int | None = None, *, trusts_mounts: bool = True) -> Fault | None:
    """Return the first fault of the file, its target if it is a link, and the directories above both.

    They may also belong to `owner`. Without `trusts_mounts`, a read-only mount protects nothing: systemd's
    ProtectSystem= makes one that only this process has.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - links are looked at, not resolved
    try:
        target = absolute.resolve(strict=True)
    except (OSError, RuntimeError):
        return None  # who reads it will report that
    paths = (target, *target.parents, *absolute.parents)
    return next(filter(None, (fault_of(one, owner, trusts_mounts=trusts_mounts) for one in paths)), None)


def find_socket_fault(socket: Path) -> Fault | None:
    """Return the first fault of the directories of a socket: others could put another one there.

    The last one may belong to the user whose program listens, whom no one else may know (DynamicUser= of systemd), but
    then only root or this user may have created it. The socket's mode does not matter.
    """
    absolute = Path(os.path.abspath(socket.parent))  # noqa: PTH100 - links are looked at, not resolved
    try:
        folder = absolute.resolve(strict=True)
        status = folder.stat()
    except (OSError, RuntimeError):
        return None  # who connects will report that
    if not stat.S_ISDIR(status.st_mode):
        return None
    # Without links, both have the same directories.
    above = dict.fromkeys((*folder.parents, *absolute.parents))
    created = dict.fromkeys((folder, absolute, *above))
    faults = itertools.chain([fault_of(folder, status.st_uid)], map(fault_of, above), map(_fault_of_creator, created))
    return next(filter(None, faults), None)


def fault_of(path: Path, owner: int | None = None, *, trusts_mounts: bool = True) -> Fault | None:
    """Return the fault of this file or directory alone."""
    try:
        status = path.stat()
    except OSError:
        return None
    if status.st_uid not in {0, os.geteuid(), owner}:
        return Fault(f"{path} belongs to another user ({_name(status.st_uid)})", services.give(path, os.geteuid()))
    if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
        return Fault(f"{path} is a device", "Name a file instead.")
    is_shared = stat.S_IMODE(status.st_mode) & 0o022 and not _is_protected(path, status, trusts_mounts=trusts_mounts)
    if not is_shared:
        return None
    who = "every user" if status.st_mode & 0o002 else "its group"
    return Fault(f"{who} may write to {path} (mode {stat.S_IMODE(status.st_mode):04o})", f"Run 'chmod go-w {path}'.")


def is_readable_by_others(path: Path) -> bool:
    """Return whether the mode lets its group or every user read the file."""
    try:
        return bool(path.stat().st_mode & 0o044)
    except OSError:
        return False


def is_readable_by_all(path: Path) -> bool:
    """Return whether the mode lets every user read the file."""
    try:
        return bool(path.stat().st_mode & 0o004)
    except OSError:
        return False


def _fault_of_creator(path: Path) -> Fault | None:
    """Return a fault if another user may have created this directory or link; a sticky bit does not prevent that."""
    status, above = path.lstat(), path.parent.stat()
    if status.st_uid in {0, os.geteuid()} or not above.st_mode & 0o022:
        return None
    who = "every user" if above.st_mode & 0o002 else "a group"
    mode = f"mode {stat.S_IMODE(above.st_mode):04o} above"
    return Fault(
        f"{path} belongs to another user ({_name(status.st_uid)}), and {who} may create it ({mode})",
        "Move the socket to a directory in /run.",
    )


def _is_protected(path: Path, status: os.stat_result, *, trusts_mounts: bool) -> bool:
    if stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX:
        return True
    if status.st_uid == 0 and os.environ.get(VOLUMES) == "1" and path.is_mount():
        return True
    return trusts_mounts and bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
