"""Leave no pid file behind: `nginx -t` and `nginx -T` create an empty one where it is missing."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from wellkeeper_node import rights


@contextlib.contextmanager
def kept_absent(pid_file: Path) -> Iterator[None]:
    """Remove the file after the block if it was missing before and is empty: an nginx that starts writes its id there.

    The directory is often that of nginx's user.
    """
    is_missing = not os.path.lexists(pid_file)
    try:
        yield
    finally:
        if is_missing:
            with contextlib.suppress(OSError), rights.of_path(pid_file):
                _remove_if_empty(pid_file)


def _remove_if_empty(pid_file: Path) -> None:
    made = pid_file.lstat()
    if stat.S_ISREG(made.st_mode) and made.st_size == 0:
        pid_file.unlink()
