"""Work on the disk that survives a power cut, one writer at a time, with errors that say what to do.

Blocking; `to_its_end` brings it into the event loop. A file has its final owner and mode before its first byte.
"""

import asyncio
import contextlib
import fcntl
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from wellkeeper_node.advice import files as remedies
from wellkeeper_node.errors import InstallError

_T = TypeVar("_T")

# A write takes milliseconds; whoever holds the lock for this long hangs, or is a person.
_LOCK_TIMEOUT_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Owner:
    """Numeric ids for what is created; -1 leaves them as they are."""

    user: int = -1
    group: int = -1


def make_folder(path: Path, mode: int, owner: Owner) -> None:
    """Make the directory, and what is missing above it, durably; one that exists keeps its mode and owner."""
    if path.is_dir():
        return
    if not path.parent.is_dir():
        make_folder(path.parent, 0o755, Owner())  # what lies above is not ours to give away
    if make_new(path):
        try:
            _give(path, mode, owner)
        except OSError:
            path.rmdir()  # or the next pass would take it for the administrator's
            raise
        sync(path.parent)


def make_new(path: Path) -> bool:
    """Make the directory for its owner only; return False if it exists, as another process may have been quicker."""
    try:
        path.mkdir(0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
        return False
    return True


def write_file(path: Path, content: bytes, mode: int, owner: Owner) -> None:
    """A new file, on durable storage when this returns; never an existing one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with _naming(path), os.fdopen(descriptor, "wb") as file:
        os.fchown(descriptor, owner.user, owner.group)
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def create_whole(path: Path, content: bytes, mode: int) -> None:
    """Create the whole file durably, or none; raises FileExistsError, and never replaces anything."""
    with _unfinished(path, content, mode) as unfinished:
        os.link(unfinished, path)  # unlike a rename, it replaces nothing


def replace_whole(path: Path, content: bytes, mode: int) -> None:
    """Write the whole file durably, or leave what is there; readers see the old file or the new one."""
    with _unfinished(path, content, mode) as unfinished:
        unfinished.replace(path)


@contextlib.contextmanager
def _unfinished(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """Yield a file beside `path` with this content, for one writer per folder at a time.

    What a crash left under its name is replaced. The folder is durable when the context is left.
    """
    unfinished = path.with_name(f".{path.name}.tmp")
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # or two writers would take each other's unfinished file
        unfinished.unlink(missing_ok=True)
        try:
            write_file(unfinished, content, mode, Owner())
            yield unfinished
        finally:
            unfinished.unlink(missing_ok=True)
        os.fsync(folder)
    finally:
        os.close(folder)


def _give(path: Path, mode: int, owner: Owner) -> None:
    """To this very folder, never to what a link leads to: `owner` may be able to put one there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(descriptor, owner.user, owner.group)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def sync(folder: Path) -> None:
    """Makes what was created in and renamed into the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, name: str, timeout_seconds: float = _LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """For this name one at a time, over all threads and processes; waits, then raises InstallError.

    Each name has a byte of the file, which need not be there: waits for the disk overlap, and share its journal.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _lock(descriptor, path, zlib.crc32(name.encode()), timeout_seconds)
        yield
    finally:
        os.close(descriptor)


async def to_its_end(work: Callable[[], _T]) -> _T:
    """Runs in a thread; a cancellation waits for the thread, so that what follows finds the disk at rest."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # the cancellation is what counts; looked at, or the loop complains
        raise


@contextlib.contextmanager
def translated(root: Path) -> Iterator[None]:
    """OSError becomes InstallError that names the path and the remedy."""
    try:
        yield
    except OSError as error:
        remedy = remedies.of_writing(error)
        raise InstallError(f"cannot use {error.filename or root}: {error.strerror or error}; {remedy}") from error


def _lock(descriptor: int, path: Path, byte: int, timeout_seconds: float) -> None:
    # `struct flock` of fcntl(2). Locks of open files, unlike those of a process, exclude our own threads too.
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, asked)
        except (BlockingIOError, PermissionError) as error:
            if time.monotonic() > deadline:
                raise InstallError(
                    f"another process has held {path} for {timeout_seconds:.0f} s;"
                    f" 'fuser {path}' names it: wait for it or end it"
                ) from error
            time.sleep(0.02)
        else:
            return


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Calls on a descriptor do not say which file they failed for."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
