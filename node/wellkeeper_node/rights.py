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
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LIBC: Final = ctypes.CDLL(None)
# A chain has some kilobytes.
_LONGEST_BYTES: Final = 1 << 20


@contextlib.contextmanager
def of_owner(certificates_dir: Path, group: int = -1) -> Iterator[None]:
    """Give up root in this thread for the user who owns the directory, its `archive` or its `live`, if there is one.

    New files get `group`, by default that of the directory or of the user.
    """
    found = _other_owner(certificates_dir) if os.geteuid() == 0 else None
    if found is None:
        yield
        return
    user, default_group = found
    try:
        _set("setfsgid", default_group if group == -1 else group)
        _set("setfsuid", user)
        yield
    finally:
        _set("setfsuid", os.geteuid())
        _set("setfsgid", os.getegid())


def read_file(path: Path) -> bytes:
    """Read a regular file; raises ValueError for anything else, and OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise ValueError(f"{path.name} is not a regular file") from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{path.name} is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(_LONGEST_BYTES + 1)
    if len(content) > _LONGEST_BYTES:
        raise ValueError(f"{path.name} is longer than {_LONGEST_BYTES} bytes")
    return content


def _other_owner(certificates_dir: Path) -> tuple[int, int] | None:
    """Return user and group of the first of the directories that does not belong to root."""
    for path in (certificates_dir, certificates_dir / "archive", certificates_dir / "live"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            status = path.lstat()
            if status.st_uid != 0:
                return status.st_uid, status.st_gid or _group_of(status.st_uid)
    return None


def _group_of(user: int) -> int:
    try:
        return pwd.getpwuid(user).pw_gid
    except KeyError:
        return user


def _set(call: str, number: int) -> None:
    """Set user or group of this thread; the call itself does not tell whether it failed."""
    function = getattr(_LIBC, call)
    function(ctypes.c_uint(number))
    if function(ctypes.c_uint(0xFFFFFFFF)) != number:
        raise PermissionError(errno.EPERM, f"{call}({number}): {os.strerror(errno.EPERM)}")
