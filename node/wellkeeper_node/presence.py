"""Ask whether a path exists without taking a failure for an absence.

The questions of `pathlib.Path` answer False from Python 3.14 on even if the disk fails or a folder may not be read. An
account key or a certificate that only cannot be seen would be replaced by a new one.
"""

import stat
from pathlib import Path


def exists(path: Path) -> bool:
    """Return whether something is there, not only a link to nothing. Raises OSError if that cannot be found out."""
    return _mode_of(path) != 0


def is_dir(path: Path) -> bool:
    """Return whether it is a directory, or a link to one. Raises OSError if that cannot be found out."""
    return stat.S_ISDIR(_mode_of(path))


def is_file(path: Path) -> bool:
    """Return whether it is a regular file, or a link to one. Raises OSError if that cannot be found out."""
    return stat.S_ISREG(_mode_of(path))


def is_symlink(path: Path) -> bool:
    """Return whether it is a symbolic link, dangling or not. Raises OSError if that cannot be found out."""
    return stat.S_ISLNK(_mode_of(path, follow_symlinks=False))


def _mode_of(path: Path, *, follow_symlinks: bool = True) -> int:
    try:
        return path.stat(follow_symlinks=follow_symlinks).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
