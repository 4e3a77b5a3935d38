"""Record in `state_dir` what happened: one JSON object per line, appended durably. docs/design/0034-history.md

    history.jsonl → history.1.jsonl           what people and the daemon did
    history-nodes.jsonl → history-nodes.1.jsonl     what nodes cause, so that these cannot displace the rest

A full file replaces the one before it. What a crash left of the last line is cut off before the next one. Blocking.
"""

import json
import logging
import os
import re
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from wellkeeper_client.foreign_text import LONGEST_WORDS, one_line
from wellkeeper_node import durable, rights
from wellkeeper_node.errors import LockedError
from wellkeeper_node.happened import OF_NODES, Author, Happened
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

MAIN: Final = "history"
NODES: Final = "history-nodes"
LOCK: Final = "history.lock"
FILES: Final = tuple(f"{stem}{number}.jsonl" for stem in (MAIN, NODES) for number in ("", ".1"))
# Ten thousand to twenty thousand events.
MOST_BYTES: Final = 4 << 20
# The names of ten thousand certificates.
_LONGEST_LIST: Final = 256 << 10
_LOCK_SECONDS: Final = 5.0
# A URL may have a password before its host, or a token after its path.
_SECRET_IN_URL: Final = (re.compile(r"(://)[^/?#\s]*(?=@)"), re.compile(r"(://[^?\s]*\?)\S+"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A recorded event."""

    at: datetime
    what: str
    subject: str
    details: Mapping[str, str]
    author: Author


class HistoryFile:
    """Implements `happened.History` in this directory, which it creates if it is missing.

    `author` is called with each addition: the name of a user may be looked up over the network.
    """

    def __init__(
        self,
        state_dir: Path,
        author: Callable[[], Author],
        clock: Clock,
        most_bytes: int = MOST_BYTES,
        lock_seconds: float = _LOCK_SECONDS,
    ) -> None:
        self._state_dir = state_dir
        self._author = author
        self._clock = clock
        self._most_bytes = most_bytes
        self._lock_seconds = lock_seconds
        self._lock = threading.Lock()  # threads of this process wait here, without polling

    def add(self, *happened: Happened) -> None:
        at = self._clock.now()
        for stem in (MAIN, NODES):
            chosen = [one for one in happened if (one.what in OF_NODES) is (stem == NODES)]
            if chosen:
                by = self._author()
                self._try_to_append(stem, b"".join(_line(at, one, by) for one in chosen))

    def _try_to_append(self, stem: str, lines: bytes) -> None:
        try:
            with self._lock:
                durable.make_folder(self._state_dir, 0o700, durable.Owner())
                with durable.locked(self._state_dir / LOCK, stem, self._lock_seconds):
                    self._append(self._state_dir / f"{stem}.jsonl", lines)
        except OSError as error:
            place = error.filename or self._state_dir
            _log.warning("cannot add an event to the history: %s: %s", place, error.strerror)
        except LockedError as error:
            _log.warning("cannot add an event to the history: %s", error)

    def _append(self, path: Path, lines: bytes) -> None:
        is_new = self._make_room(path, len(lines))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            size = _repaired(descriptor)
            try:
                _write_all(descriptor, lines)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)  # a full disk takes a part
                raise
        finally:
            os.close(descriptor)
        if is_new:
            durable.sync(self._state_dir)

    def _make_room(self, path: Path, size: int) -> bool:
        """Begin another file if this one is full; return whether there is none now."""
        try:
            known = path.lstat().st_size
        except FileNotFoundError:
            return True
        if known and known + size > self._most_bytes:
            path.replace(_before(path))
            return True
        return False


def author(program: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Author:
    """Return who runs this process, and as what; parts of URLs that may be secret are left out."""
    command = shlex.join([program, *map(_harmless, arguments)])
    return Author(rights.user_name(os.getuid()), command, environment.get("SUDO_USER", ""))


def read(state_dir: Path) -> tuple[list[Entry], int]:
    """Return all entries, the oldest first, and the number of unreadable lines. Raises OSError."""
    return _read(state_dir, b"")


def read_about(state_dir: Path, subject: str) -> list[Entry]:
    """Return the entries with this subject, the oldest first; others are not parsed. Raises OSError."""
    found, _ = _read(state_dir, json.dumps(subject).encode())
    return [one for one in found if one.subject == subject]


def _read(state_dir: Path, wanted: bytes) -> tuple[list[Entry], int]:
    """Read the lines that contain `wanted`."""
    lines = [line for stem in (MAIN, NODES) for line in _lines(state_dir / f"{stem}.jsonl") if wanted in line]
    found = [one for line in lines if (one := _entry(line)) is not None]
    return sorted(found, key=lambda one: one.at), len(lines) - len(found)


def _harmless(argument: str) -> str:
    for pattern in _SECRET_IN_URL:
        argument = pattern.sub(r"\1…", argument)
    return argument


def _lines(path: Path) -> list[bytes]:
    """Return the lines of both files, as of one moment: a full file may become the one before it meanwhile."""
    while True:
        number, newest = _content(path)
        _, older = _content(_before(path))
        if _content(path)[0] == number:
            return older.splitlines() + newest.splitlines()


def _content(path: Path) -> tuple[int, bytes]:
    """Return the inode and all whole lines; 0 and nothing without a file."""
    try:
        with path.open("rb") as file:
            content = file.read()
            return os.fstat(file.fileno()).st_ino, content[: content.rfind(b"\n") + 1]
    except FileNotFoundError:
        return 0, b""


def _before(path: Path) -> Path:
    return path.with_name(f"{path.stem}.1.jsonl")


def _repaired(descriptor: int) -> int:
    """Cut off what has no end of line, and return the size."""
    size = os.fstat(descriptor).st_size
    if not size or os.pread(descriptor, 1, size - 1) == b"\n":
        return size
    end = os.pread(descriptor, size, 0).rfind(b"\n") + 1
    os.ftruncate(descriptor, end)
    return end


def _write_all(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def _longest(kind: str) -> int:
    """Return how long a detail may be: what nodes cause has no lists."""
    return LONGEST_WORDS if kind in OF_NODES else _LONGEST_LIST


def _line(at: datetime, happened: Happened, by: Author) -> bytes:
    longest = _longest(happened.what)
    members = {
        "at": at.astimezone(UTC).isoformat(timespec="seconds"),
        "kind": happened.what.value,
        "subject": one_line(happened.subject, LONGEST_WORDS),
        "details": {name: one_line(words, longest) for name, words in happened.details.items() if words},
        "user": one_line(by.user),
        "command": one_line(by.command, LONGEST_WORDS),
    }
    members |= {"sudo_user": one_line(by.sudo_user)} if by.sudo_user else {}
    return f"{json.dumps(members)}\n".encode()


def _entry(line: bytes) -> Entry | None:
    """Return the entry; None for a line that is damaged."""
    try:
        found = json.loads(line)
        details = dict(_words(found["details"], _longest(found["kind"])))
        by = Author(one_line(found["user"]), one_line(found["command"]), one_line(found.get("sudo_user", "")))
        at = datetime.fromisoformat(found["at"])
        return Entry(at.astimezone(UTC), one_line(found["kind"]), one_line(found["subject"]), details, by)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def _words(details: Mapping[str, Any], longest: int) -> Iterator[tuple[str, str]]:
    for name, words in details.items():
        yield one_line(name), one_line(words, longest)
