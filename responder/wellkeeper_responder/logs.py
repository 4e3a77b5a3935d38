"""Log to standard error, as text or as JSON, one event per line.

A record has an event and `fields`, which never contain a signature, nor request headers other than User-Agent and Host.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any


class TextFormat(logging.Formatter):
    """Lines such as `2026-03-01T12:00:00.000Z info fetch token=… status=200`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={_text(value)}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname.lower()} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormat(logging.Formatter):
    """One JSON object per line: `time`, `level`, `event`, and the event's own members."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": _time(record), "level": record.levelname.lower(), "event": record.getMessage()}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line | _fields(record))


def set_up(log_format: str) -> None:
    """Log from level info on to standard error, for `__main__`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormat() if log_format == "json" else TextFormat())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", {})
    return dict(fields)


def _text(value: object) -> str:
    """Return the value, as JSON where it would be ambiguous: with spaces, quotes or line ends, empty, or a list."""
    if isinstance(value, str) and value.isprintable() and value and not set(value) & set(' "=\\'):
        return value
    return json.dumps(value)


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
