"""Changes on disk that survive a power cut, by one writer at a time, with errors that say what to do.

All of it blocks; `to_its_end` runs it for the event loop. A file has its final owner and mode before its first byte.
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

from wellkeeper_node import acls, presence, rights
from wellkeeper_node.advice import files as remedies
from wellkeeper_node.errors import InstallError, LockedError

_T = TypeVar("_T")

# A write takes milliseconds; a process that holds the lock for this long hangs.
_LOCK_TIMEOUT_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Owner:
    """Numeric ids for new files and directories; -1 keeps the default."""

    user: int = -1
    group: int = -1


def make_folder(path: Path, mode: int, owner: Owner, acl: bytes | None = None) -> None:
    """Create the directory and its missing parents, durably; an existing one is not changed."""
    if presence.is_dir(path):
        return
    if not presence.is_dir(path.parent):
        make_folder(path.parent, 0o755, Owner())  # parents keep their default owner
    if make_new(path):
        try:
            _give(path, mode, owner, acl)
        except OSError:
            path.rmdir()  # or the next pass would take it for the administrator's
            raise
        sync(path.parent)


def make_new(path: Path) -> bool:
    """Create the directory for its owner only; return False if it exists, as another process may have been quicker."""
    try:
        path.mkdir(0o700)
    except FileExistsError:
        if not presence.is_dir(path):
            raise
        return False
    return True


def write_file(path: Path, content: bytes, mode: int, owner: Owner, acl: bytes | None = None) -> None:
    """Create a file, on durable storage when this returns; raises FileExistsError for an existing one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with _naming(path), os.fdopen(descriptor, "wb") as file:
        _set_access(descriptor, mode, owner, acl)
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
    """Yield a file beside `path` with this content, for one writer per directory at a time.

    A leftover of a crash is replaced. The directory is durable when the context is left.
    """
    unfinished = path.with_name(f".{path.name}.tmp")
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # two writers would remove each other's unfinished file
        unfinished.unlink(missing_ok=True)
        try:
            write_file(unfinished, content, mode, Owner())
            yield unfinished
        finally:
            unfinished.unlink(missing_ok=True)
        os.fsync(folder)
    finally:
        os.close(folder)


def _give(path: Path, mode: int, owner: Owner, acl: bytes | None) -> None:
    """Change the access to this directory, never through a link: `owner` may be able to put one there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _set_access(descriptor, mode, owner, acl)
    finally:
        os.close(descriptor)


def _set_access(descriptor: int, mode: int, owner: Owner, acl: bytes | None) -> None:
    os.fchown(descriptor, owner.user, owner.group)
    os.fchmod(descriptor, mode)
    if acl is not None:
        os.setxattr(descriptor, acls.ATTRIBUTE, acl)


def sync(folder: Path) -> None:
    """Make all that was created in and renamed into the directory durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, name: str, timeout_seconds: float = _LOCK_TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold the lock of this name, across all threads and processes; waits, then raises LockedError.

    Each name locks one byte of the file, which need not exist, so that writes of several names run in parallel.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _lock(descriptor, path, zlib.crc32(name.encode()), timeout_seconds)
        yield
    finally:
        os.close(descriptor)


async def to_its_end(work: Callable[[], _T]) -> _T:
    """Run in a thread; a cancellation waits for the thread, so that no write is in progress afterwards."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # retrieved, or the loop logs it; the cancellation counts
        raise


@contextlib.contextmanager
def translated(root: Path) -> Iterator[None]:
    """Turn OSError into InstallError, which names the path and the remedy."""
    try:
        yield
    except OSError as error:
        what, why = f"cannot use {error.filename or root}", error.strerror or str(error)
        remedy = error.remedy if isinstance(error, rights.BarredError) else remedies.of_writing(error)
        raise InstallError(what, why, remedy) from error


def _lock(descriptor: int, path: Path, byte: int, timeout_seconds: float) -> None:
    # `struct flock` of fcntl(2). Locks of open files, unlike those of a process, exclude our own threads too.
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, asked)
        except (BlockingIOError, PermissionError) as error:
            if time.monotonic() > deadline:
                raise LockedError(
                    f"cannot lock {path}",
                    f"another process has held the lock for {timeout_seconds:.0f} s",
                    f"Find it with 'fuser {path}', then wait for it or stop it.",
                ) from error
            time.sleep(0.02)
        else:
            return


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add the path to errors of calls on a descriptor, which do not name it."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
