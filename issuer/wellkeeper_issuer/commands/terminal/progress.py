"""How a pass is told: live lines in a terminal, one line a stage without one, or JSON lines.

All on standard error: standard output belongs to the result.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

from wellkeeper_node.ports import Progress

LogFormat = Literal["auto", "text", "json"]

_STAGE_WIDTH: Final = 8
_DATE: Final = "%Y-%m-%dT%H:%M:%SZ"


class LineProgress:
    """Implements `ports.Progress`: one line when a stage ends."""

    def __init__(self, out: TextIO, *, is_dated: bool = True) -> None:
        self._out = out
        self._is_dated = is_dated

    def started(self, lineage: str, stage: str) -> None:
        """Not worth a line: stages are short, and their end tells."""

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._line(lineage, f"{stage:{_STAGE_WIDTH}} {seconds:6.2f} s  {detail}")

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._line(lineage, f"{stage:{_STAGE_WIDTH}} {seconds:6.2f} s  failed{': ' if detail else ''}{detail}")

    def note(self, lineage: str, text: str) -> None:
        self._line(lineage, text)

    def _line(self, lineage: str, text: str) -> None:
        date = f"{datetime.now(UTC):{_DATE}} " if self._is_dated else ""
        print(f"{date}{lineage}: {text}", file=self._out, flush=True)


class JsonProgress:
    """Implements `ports.Progress`: one JSON object a line."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def started(self, lineage: str, stage: str) -> None:
        self._line(certificate=lineage, stage=stage, event="started")

    def finished(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._line(certificate=lineage, stage=stage, event="finished", seconds=round(seconds, 3), detail=detail)

    def failed(self, lineage: str, stage: str, seconds: float, detail: str) -> None:
        self._line(certificate=lineage, stage=stage, event="failed", seconds=round(seconds, 3), detail=detail)

    def note(self, lineage: str, text: str) -> None:
        self._line(certificate=lineage, event="note", detail=text)

    def _line(self, **fields: object) -> None:
        print(_json_line(datetime.now(UTC), **fields), file=self._out, flush=True)


class JsonFormatter(logging.Formatter):
    """What is logged beside the stages, as one JSON object a line as well."""

    def format(self, record: logging.LogRecord) -> str:
        detail = record.getMessage()
        if record.exc_info:
            detail += "\n" + self.formatException(record.exc_info)
        at = datetime.fromtimestamp(record.created, UTC)
        return _json_line(at, event="log", level=record.levelname.lower(), logger=record.name, detail=detail)


def _json_line(at: datetime, **fields: object) -> str:
    time = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": time, **fields})


class DatedFormatter(logging.Formatter):
    """What is logged beside the stages, dated as they are."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return f"{datetime.fromtimestamp(record.created, UTC):{_DATE}} {super().format(record)}"


def is_journal() -> bool:
    """Whether standard error goes to systemd's journal, which dates every line by itself (systemd.exec(5))."""
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
    """`auto`: live in a terminal, lines otherwise."""
    if log_format == "json":
        with _log_as(JsonFormatter()):
            yield JsonProgress(sys.stderr)
    elif log_format == "text" or not sys.stderr.isatty():
        if is_journal():
            yield LineProgress(sys.stderr, is_dated=False)
        else:
            with _log_as(DatedFormatter()):
                yield LineProgress(sys.stderr)
    else:
        from wellkeeper_issuer.commands.terminal.live import live_progress

        with live_progress() as live:
            yield live
