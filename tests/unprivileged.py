"""Runs a part of a test as a user without rights, so that the kernel refuses it what only root may do."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_NOBODY: Final = 65534


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root in this process, for all threads, until the end of the block; another user stays who it is."""
    if os.geteuid() != 0:
        yield
        return
    os.setresgid(_NOBODY, _NOBODY, 0)
    os.setresuid(_NOBODY, _NOBODY, 0)
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
