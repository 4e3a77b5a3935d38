"""The files of a process with another root, such as nginx in another container, through `/proc/PID/root`.

An absolute symbolic link there means a file of that root, and `..` never leads above it. The kernel would follow both
out of it, and a path could change between a check and its use. Therefore each part of a path is opened below the
descriptor of the last one, and links are followed here.
"""

import contextlib
import errno
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

_MOST_LINKS: Final = 40
_LONGEST_BYTES: Final = 64 * 1024 * 1024
_WILDCARDS: Final = frozenset("*?[")


class RootDisk:
    """Implements `Disk` for a process whose root is this directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def real_path(self, path: str) -> str:
        with contextlib.suppress(OSError), self._opened(path) as (_, real):
            return real
        return os.path.normpath(path)

    def stat(self, path: str, *, follows: bool = True) -> os.stat_result:
        with self._opened(path, follows=follows) as (descriptor, _):
            return os.fstat(descriptor)

    def read(self, path: str) -> bytes:
        with self._opened(path) as (descriptor, _):
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            with open(f"/proc/self/fd/{descriptor}", "rb") as file:  # noqa: PTH123 - a descriptor
                content = file.read(_LONGEST_BYTES + 1)
        if len(content) > _LONGEST_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return content

    def glob(self, pattern: str) -> Iterable[str]:
        found = [""]
        for part in pattern.strip("/").split("/"):
            if _WILDCARDS & set(part):
                found = [f"{folder}/{name}" for folder in found for name in self._names(folder) if _fits(name, part)]
            else:
                found = [f"{folder}/{part}" for folder in found]
        return filter(self._exists, found)

    def _names(self, folder: str) -> list[str]:
        with contextlib.suppress(OSError), self._opened(folder) as (descriptor, _):
            return [one.name for one in Path(f"/proc/self/fd/{descriptor}").iterdir()]
        return []

    def _exists(self, path: str) -> bool:
        with contextlib.suppress(OSError), self._opened(path, follows=False):
            return True
        return False

    @contextlib.contextmanager
    def _opened(self, path: str, *, follows: bool = True) -> Iterator[tuple[int, str]]:
        """Yield a descriptor that only names the file, and the file's path without links. Raises OSError."""
        walk = _Walk(self._root)
        try:
            yield walk.to(path, follows=follows)
        finally:
            walk.close()


class _Walk:
    """A way from the root down to a file: the descriptors of the directories, and their names."""

    def __init__(self, root: Path) -> None:
        self._descriptors = [os.open(root, os.O_PATH | os.O_DIRECTORY)]
        self._names: list[str] = []

    def to(self, path: str, *, follows: bool) -> tuple[int, str]:
        parts, links = deque(path.split("/")), 0
        while parts:
            part = parts.popleft()
            if part in {"", "."}:
                continue
            if part == "..":
                self._up(1)
            elif (target := self._down(part, follows=follows or bool(parts))) is not None:
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                parts.extendleft(reversed(target.split("/")))
        return self._descriptors[-1], f"/{'/'.join(self._names)}"

    def close(self) -> None:
        for one in self._descriptors:
            os.close(one)

    def _up(self, count: int) -> None:
        for _ in range(min(count, len(self._names))):
            os.close(self._descriptors.pop())
            self._names.pop()

    def _down(self, part: str, *, follows: bool) -> str | None:
        """Enter the part, or return where it leads if it is a link; an absolute one leads to the root first."""
        found = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=self._descriptors[-1])
        if not (follows and stat.S_ISLNK(os.fstat(found).st_mode)):
            self._descriptors.append(found)
            self._names.append(part)
            return None
        try:
            target = os.readlink("", dir_fd=found)
        finally:
            os.close(found)
        if target.startswith("/"):
            self._up(len(self._names))
        return target


def _fits(name: str, pattern: str) -> bool:
    """Return whether glob(3) finds the name; a wildcard does not stand for the dot of a hidden file."""
    return (not name.startswith(".") or pattern.startswith(".")) and fnmatchcase(name, pattern)
