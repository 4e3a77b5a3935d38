"""The files that nginx's configuration names, as nginx sees them; here, where nginx shares our files."""

import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class Disk(Protocol):
    """Absolute paths, as the nginx process sees them. All of it blocks."""

    def real_path(self, path: str) -> str:
        """Return the path without symbolic links, as far as it exists."""
        ...

    def stat(self, path: str, *, follows: bool = True) -> os.stat_result:
        """Return the status of the file, or of the link without `follows`. Raises OSError, and ValueError for NUL."""
        ...

    def read(self, path: str) -> bytes:
        """Return the content of a regular file. Raises OSError."""
        ...

    def glob(self, pattern: str) -> Iterable[str]:
        """Return the paths that glob(3) finds; in no order."""
        ...


class HostDisk:
    """Implements `Disk` for an nginx whose files are ours."""

    def real_path(self, path: str) -> str:
        return os.path.realpath(path)

    def stat(self, path: str, *, follows: bool = True) -> os.stat_result:
        return os.stat(path, follow_symlinks=follows)  # noqa: PTH116 - faster, for many files

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def glob(self, pattern: str) -> Iterable[str]:
        return glob.iglob(pattern)  # noqa: PTH207 - the pattern is absolute
