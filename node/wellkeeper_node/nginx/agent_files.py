"""Use the directories that Wellkeeper shares with nginx's agent, of which each writes one.

The other side may be any program that can write there: no link is followed, and only regular files are read, up to a
limit.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from wellkeeper_node import rights
from wellkeeper_node.errors import ReloadError

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIPE: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_MOUNT: Final = "Mount the volumes of nginx's agent as docs/reaching-nginx.md shows."


def unusable(path: Path, why: str, remedy: str = _MOUNT) -> ReloadError:
    """Return the error for a directory of the agent."""
    return ReloadError(f"cannot ask nginx's agent through {path}", why, remedy)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open the directory for the context. Raises ReloadError."""
    try:
        folder = os.open(path, _FOLDER)
    except NotADirectoryError as error:
        raise unusable(path, "it is not a directory, or a symbolic link") from error
    except OSError as error:
        raise unusable(path, error.strerror or str(error)) from error
    try:
        yield folder
    finally:
        os.close(folder)


def check_writable(folder: int, path: Path) -> None:
    """Raise ReloadError unless files can be written to the directory."""
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True):
        raise unusable(path, f"user {rights.user_name(os.geteuid())} may not write to it")


def check_private(folder: int, path: Path) -> None:
    """Raise ReloadError unless the directory is ours alone: it gets nginx's whole configuration."""
    found = os.fstat(folder)
    if found.st_uid != os.geteuid():
        owner, own = rights.user_name(found.st_uid), rights.user_name(os.geteuid())
        why = f"it belongs to user {owner}, but this process runs as {own}"
        raise unusable(path, why, "Run nginx's container and this process as the same user (docs/reaching-nginx.md).")
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise unusable(path, f"other users may use it (mode {mode:04o})", f"Run 'chmod 700 {path}'.")


def is_full(folder: int) -> bool:
    """Return whether its volume has no room for another file; some do not say how much they have."""
    found = os.fstatvfs(folder)
    return (found.f_blocks > 0 and found.f_bavail == 0) or (found.f_files > 0 and found.f_favail == 0)


def make(folder: int, name: str, path: Path) -> None:
    """Make an empty file. Raises ReloadError."""
    try:
        os.close(os.open(name, _NEW, 0o644, dir_fd=folder))
    except OSError as error:
        raise unusable(path, error.strerror or str(error)) from error


def remove(folder: int, name: str) -> None:
    """Remove the file, if it can be removed."""
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder)


def ring(folder: int, name: str) -> None:
    """Write a line to the named pipe, if it is one that a process reads."""
    with contextlib.suppress(OSError):
        pipe = os.open(name, _PIPE, dir_fd=folder)
        try:
            if stat.S_ISFIFO(os.fstat(pipe).st_mode):
                os.write(pipe, b"\n")
        finally:
            os.close(pipe)


def read(folder: int, name: str, most_bytes: int) -> tuple[str, float] | None:
    """Return the text of a file and when it changed; None if it does not exist. Raises ReloadError."""
    try:
        with os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb") as file:
            found = os.fstat(file.fileno())
            content = file.read(most_bytes + 1) if stat.S_ISREG(found.st_mode) else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _wrong(name, error.strerror or str(error)) from error
    if content is None or len(content) > most_bytes:
        raise _wrong(name, "not a regular file" if content is None else f"longer than {most_bytes} bytes")
    return content.decode(errors="replace"), found.st_mtime


def fields(line: str, names: int, numbers: int) -> list[str]:
    """Return the words of a line of the agent, of which the last are numbers. Raises ReloadError."""
    words = line.split()
    if len(words) != names + numbers or not all(map(_NUMBER.fullmatch, words[names:])):
        raise _wrong("a line", repr(line[:80]))
    return words


def _wrong(name: str, why: str) -> ReloadError:
    remedy = "Restart nginx's container, so that it runs this version of nginx-agent."
    return ReloadError("cannot understand the answer of nginx's agent", f"{name}: {why}", remedy)
