"""Report progress: live lines in a terminal, one line per stage without one, or JSON lines.

All of it goes to standard error: standard output belongs to the result.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

from wellkeeper_node.ports import Progress

LogFormat = Literal["auto", "text", "json"]
Prefix = Callable[[int, datetime], str]

_STAGE_WIDTH: Final = 8
_DATE: Final = "%Y-%m-%dT%H:%M:%SZ"
_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))


def dated_prefix(level: int, at: datetime) -> str:
    """Return date and level; a line without a level is information."""
    name = f"{logging.getLevelName(level)} " if level != logging.INFO else ""
    return f"{at:{_DATE}} {name}"


def journal_prefix(level: int, _at: datetime) -> str:
    """Return the priority as systemd's journal reads it (sd-daemon(3)); it dates every line by itself."""
    return f"<{next(found for least, found in _PRIORITIES if level >= least)}>"


def no_prefix(_level: int, _at: datetime) -> str:
    return ""


class LineProgress:
    """Implements `ports.Progress`: one line when a stage ends."""

    def __init__(self, out: TextIO, prefix: Prefix = dated_prefix) -> None:
        self._out = out
        self._prefix = prefix

    def started(self, lineage: str, stage: str) -> None:
        """Print nothing: stages are short, and their end has a line."""

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._line(logging.INFO, lineage, f"{stage:{_STAGE_WIDTH}} {seconds:6.2f} s  {detail}")

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        failed = f"failed{': ' if detail else ''}{detail}"
        self._line(logging.ERROR, lineage, f"{stage:{_STAGE_WIDTH}} {seconds:6.2f} s  {failed}")

    def note(self, lineage: str, text: str) -> None:
        self._line(logging.INFO, lineage, text)

    def _line(self, level: int, lineage: str, text: str) -> None:
        print(f"{self._prefix(level, datetime.now(UTC))}{lineage}: {text}", file=self._out, flush=True)


class JsonProgress:
    """Implements `ports.Progress`: one JSON object per line."""

    def __init__(self, out: TextIO, prefix: Prefix = no_prefix) -> None:
        self._out = out
        self._prefix = prefix

    def started(self, lineage: str, stage: str) -> None:
        self._line(logging.INFO, certificate=lineage, stage=stage, event="started")

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        end = {"event": "finished", "seconds": round(seconds, 3), "detail": detail}
        self._line(logging.INFO, certificate=lineage, stage=stage, **end)

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        end = {"event": "failed", "seconds": round(seconds, 3), "detail": detail}
        self._line(logging.ERROR, certificate=lineage, stage=stage, **end)

    def note(self, lineage: str, text: str) -> None:
        self._line(logging.INFO, certificate=lineage, event="note", detail=text)

    def _line(self, level: int, **fields: object) -> None:
        at = datetime.now(UTC)
        print(f"{self._prefix(level, at)}{_json_line(level, at, **fields)}", file=self._out, flush=True)


def _json_line(level: int, at: datetime, **fields: object) -> str:
    time = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": time, "level": logging.getLevelName(level).lower(), **fields})


class JsonFormatter(logging.Formatter):
    """Formats other log records as one JSON object per line, too."""

    def __init__(self, prefix: Prefix = no_prefix) -> None:
        super().__init__()
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        line = _json_line(
            record.levelno, at, event="log", logger=record.name.rpartition(".")[2], detail=super().format(record)
        )
        return f"{self._prefix(record.levelno, at)}{line}"


class TextFormatter(logging.Formatter):
    """Formats other log records like the lines of stages, with the prefix on each line of a traceback."""

    def __init__(self, prefix: Prefix) -> None:
        super().__init__()
        self._prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        prefix = self._prefix(record.levelno, datetime.fromtimestamp(record.created, UTC))
        return "\n".join(f"{prefix}{line}" for line in super().format(record).split("\n"))


def in_journal(text: str) -> str:
    """Return the text of an error with its priority on each line."""
    prefix = journal_prefix(logging.ERROR, datetime.now(UTC))
    return "\n".join(f"{prefix}{line}" for line in text.split("\n"))


def is_journal() -> bool:
    """Return true when standard error goes to systemd's journal (systemd.exec(5))."""
    found = os.fstat(2)
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


@contextmanager
def _log_as(formatter: logging.Formatter) -> Iterator[None]:
    before = [(handler, handler.formatter) for handler in logging.getLogger().handlers]
    for handler, _ in before:
        handler.setFormatter(formatter)
    try:
        yield
    finally:
        for handler, earlier in before:
            handler.setFormatter(earlier)


@contextmanager
def progress(log_format: LogFormat) -> Iterator[Progress]:
    """Yield a progress; `auto` is live in a terminal, and prints lines elsewhere."""
    in_journal = is_journal()
    if log_format == "json":
        prefix: Prefix = journal_prefix if in_journal else no_prefix
        with _log_as(JsonFormatter(prefix)):
            yield JsonProgress(sys.stderr, prefix)
    elif log_format == "text" or not sys.stderr.isatty():
        prefix = journal_prefix if in_journal else dated_prefix
        with _log_as(TextFormatter(prefix)):
            yield LineProgress(sys.stderr, prefix)
    else:
        from wellkeeper_issuer.commands.terminal.live import live_progress

        with live_progress() as live:
            yield live
