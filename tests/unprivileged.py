"""Running part of a test as an unprivileged user, so that the kernel refuses what only root may do."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

UNPRIVILEGED_ID: Final = 65534


@contextmanager
def as_unprivileged_user() -> Iterator[None]:
    """Drop root in all threads of this process until the end of the block; do nothing for other users."""
    if os.geteuid() != 0:
        yield
        return
    with as_user(UNPRIVILEGED_ID, UNPRIVILEGED_ID):
        yield


@contextmanager
def as_user(user: int, group: int) -> Iterator[None]:
    """Drop root for this user and group, as above; only root can."""
    os.setresgid(group, group, 0)
    os.setresuid(user, user, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Yield a directory that every user may write to, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="wk-shared-") as name:
        Path(name).chmod(0o1777)
        yield Path(name)
