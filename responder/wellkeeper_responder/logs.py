"""Log lines on stderr, as text or as JSON, one event a line.

Those who log hand over an event and its `fields`: never a signature, no request header but User-Agent and Host.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any


class TextFormat(logging.Formatter):
    """`2026-03-01T12:00:00.000Z info fetch token=… status=200`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={_text(value)}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname.lower()} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormat(logging.Formatter):
    """One JSON object a line: `time`, `level`, `event`, and the event's own members."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname.lower(), "event": record.getMessage()}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line | _fields(record))


def set_up(log_format: str) -> None:
    """For `__main__`: everything from `info` on goes to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormat() if log_format == "json" else TextFormat())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", {})
    return dict(fields)


def _text(value: object) -> str:
    """As JSON where a reader could be misled: blanks, quotes, line ends, nothing at all, lists."""
    if isinstance(value, str) and value.isprintable() and value and not set(value) & set(' "=\\'):
        return value
    return json.dumps(value)


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
