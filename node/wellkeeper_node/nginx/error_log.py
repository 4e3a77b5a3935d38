"""Read what a process of nginx wrote to its error log since a moment."""

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiofiles

from wellkeeper_client.foreign_text import one_line
from wellkeeper_node import rights

_log = logging.getLogger(__name__)

LONGEST_BYTES: Final = 256 * 1024
_MAX_LINES: Final = 10
_UNREADABLE: Final = "cannot read nginx's error log %s: %s"


@dataclass(frozen=True, slots=True)
class LogPosition:
    """The end of a log at one moment."""

    path: Path
    inode: int
    size: int


def position(path: Path | None) -> LogPosition | None:
    """Return the present end of the log, which may be missing, with a warning; None without a path."""
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError as error:
        _log.warning(_UNREADABLE, path, error)
        return LogPosition(path, 0, 0)
    return LogPosition(path, status.st_ino, status.st_size)


async def logged(since: LogPosition | None, process: str) -> list[str] | None:
    """Return what processes of this pattern logged since; None, with a warning, if the log cannot be read.

    A rotated or truncated log is read from its beginning; nginx may create a missing one later.
    """
    if since is None:
        return []
    try:
        async with aiofiles.open(since.path, "rb", opener=_open_log) as file:
            now = os.fstat(file.fileno())
            is_same = now.st_ino == since.inode and now.st_size >= since.size
            await file.seek(since.size if is_same else 0)
            text = (await file.read(LONGEST_BYTES)).decode(errors="replace")
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        _log.warning(_UNREADABLE, since.path, error)
        return None
    lines = (f"{level} {words}" for level, words in re.findall(rf"(\[(?:emerg|alert|crit)\]) {process}: (.*)", text))
    return list(dict.fromkeys(map(one_line, lines)))[:_MAX_LINES]


def _open_log(path: str, _flags: int) -> int:
    """Open it with the rights of the user who controls the directory: often nginx's workers."""
    with rights.of_path(Path(path)):
        return rights.open_file(Path(path), follows_link=True)
