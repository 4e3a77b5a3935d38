"""Use directories that another user controls with the rights of that user only.

Their paths may lead anywhere at any moment: to a directory of root through a symbolic link, or to a file whose reading
never ends. The kernel checks each access of a thread against its file system user (setfsuid(2)), so that no race helps.
"""

import contextlib
import ctypes
import errno
import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_LIBC: Final = ctypes.CDLL(None)
# A chain has some kilobytes.
_LONGEST_BYTES: Final = 1 << 20
# As many as the kernel follows.
_MOST_LINKS: Final = 40
# linux/prctl.h
_PR_SET_DUMPABLE: Final = 4


class BarredError(PermissionError):
    """A directory cannot be used with its owner's rights: the owner may not enter a directory above it.

    Root does not use it instead. The owner may still hold an open descriptor of it, or reach it through another mount.
    """

    def __init__(self, user: int, folder: str) -> None:
        super().__init__(errno.EACCES, f"user {user_name(user)} cannot enter {folder}")
        self.remedy = f"Run 'chmod o+x {folder}'."

    def __str__(self) -> str:
        return f"{self.strerror}: {self.remedy}"


def forbid_inspection() -> None:
    """Keep other processes of this user out of this one: out of its memory, and its files through /proc/PID/root.

    In a pod, nginx's workers are such processes, and must not reach the account keys. Programs that this one starts
    are not protected.
    """
    _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@contextlib.contextmanager
def of_owner(certificates_dir: Path, group: int = -1, lineage: str = "") -> Iterator[None]:
    """Give up root in this thread for the user who controls the directory, its `archive`, its `live` or a lineage.

    New files get `group`, by default that of the directory or of the user. Nested contexts keep the outer user.
    """
    with _of_first(certificates_dir, (f"archive/{lineage}", "live"), group):
        yield


@contextlib.contextmanager
def of_path(path: Path, group: int = -1) -> Iterator[None]:
    """Give up root in this thread for the user who controls the path, which need not exist."""
    with _of_first(path, (), group):
        yield


def is_of_root(path: Path) -> bool:
    """Return whether this thread is root's, and only root decides where the path leads."""
    return _current("setfsuid") == 0 and _controller(path, ())[1] is None


def may_give(user: int, group: int) -> bool:
    """Return whether this thread may give its files to this user and group."""
    own = _current("setfsuid")
    return own == 0 or (user == own and group in {_current("setfsgid"), *os.getgroups()})


def user_name(user: int) -> str:
    """Return the user's name, or the number if it has no name."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def read_file(path: Path, *, follows_link: bool = False) -> bytes:
    """Read a regular file; raises ValueError for anything else, and OSError."""
    with os.fdopen(open_file(path, follows_link=follows_link), "rb") as file:
        content = file.read(_LONGEST_BYTES + 1)
    if len(content) > _LONGEST_BYTES:
        raise ValueError(f"{path.name} is longer than {_LONGEST_BYTES} bytes")
    return content


def open_file(path: Path, *, follows_link: bool = False) -> int:
    """Open a regular file for reading, without waiting; raises ValueError for anything else, and OSError."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags if follows_link else flags | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise ValueError(f"{path.name} is not a regular file") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{path.name} is not a regular file")
    return descriptor


@contextlib.contextmanager
def _of_first(folder: Path, below: Sequence[str], group: int) -> Iterator[None]:
    place, found = _controller(folder, below) if _current("setfsuid") == 0 else ("", None)
    if found is None:
        yield
        return
    before = _current("setfsgid")
    try:
        _set("setfsgid", (found.st_gid or _group_of(found.st_uid)) if group == -1 else group)
        _set("setfsuid", found.st_uid)
        _check_reach(place, found.st_uid)
        yield
    finally:
        _set("setfsuid", 0)
        _set("setfsgid", before)


def _check_reach(place: str, user: int) -> None:
    """Raise BarredError, with the first directory of root that this user may not enter."""
    for path in (*reversed(Path(place).parents), Path(place)):
        try:
            os.lstat(path)
        except PermissionError as error:
            raise BarredError(user, str(path.parent)) from error


def _controller(folder: Path, below: Sequence[str]) -> tuple[str, os.stat_result | None]:
    """Return the first part of these paths that does not belong to root: its owner decides on the rest."""
    place, found = _walk("", str(folder if folder.is_absolute() else Path.cwd() / folder))
    for path in below:
        if found is not None:
            break
        reached, found = _walk(place, path)
        place = reached if found else place
    return place, found


def _walk(place: str, path: str) -> tuple[str, os.stat_result | None]:
    """Follow links of root, whose owner is trusted; return where the path leads, or the first part of another owner."""
    left, links = path.split("/")[::-1], 0
    while left:
        step = left.pop()
        if step in {"", ".", ".."}:
            place = place.rpartition("/")[0] if step == ".." else place
            continue
        try:
            status = os.lstat(f"{place}/{step}")
        except (FileNotFoundError, NotADirectoryError):
            status = None
        if status is None or not stat.S_ISLNK(status.st_mode) or status.st_uid != 0:
            place = f"{place}/{step}"
            if status is not None and status.st_uid != 0:
                return place, status
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(f"{place}/{step}")  # noqa: PTH115 - faster, for many certificates
        place, left = "" if target.startswith("/") else place, left + target.split("/")[::-1]
    return place, None


def _group_of(user: int) -> int:
    try:
        return pwd.getpwuid(user).pw_gid
    except KeyError:
        return user


def _current(call: str) -> int:
    """Return the file system user or group of this thread; these calls change nothing for an invalid number."""
    return int(getattr(_LIBC, call)(ctypes.c_uint(0xFFFFFFFF)))


def _set(call: str, number: int) -> None:
    """Set user or group of this thread; the call itself does not tell whether it failed."""
    getattr(_LIBC, call)(ctypes.c_uint(number))
    if _current(call) != number:
        raise PermissionError(errno.EPERM, f"{call}({number}): {os.strerror(errno.EPERM)}")
