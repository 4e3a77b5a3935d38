"""Choose what matters in the output of nginx."""

import re
from collections.abc import Iterable
from typing import Final

from wellkeeper_client.foreign_text import one_line

_MAX_WORDS: Final = 1500
_SEVERE: Final = re.compile(r"\[(emerg|alert|crit|error)\]")
_NOTED: Final = re.compile(r"\[(emerg|alert|crit|error|warn)\]")
# The beginning of a line of the error log: date, level and process.
_LOGGED: Final = re.compile(r"\d{4}/\d\d/\d\d [\d:]{8} (\[\w+\]) \d+#\d+: ")


def words_of(output: str, *, passed: bool) -> str:
    """Return the lines that matter, without duplicates, up to a limit."""
    lines = _lines(output)
    chosen = [line for line in lines if (_NOTED if passed else _SEVERE).search(line)]
    if not chosen and not passed:
        chosen = lines[-3:] or ["(no output)"]
    return _joined(chosen)


def severe_of(output: str) -> str:
    """Return the lines about failures, without duplicates, up to a limit; "" without any."""
    return _joined(line for line in _lines(output) if _SEVERE.search(line))


def _lines(output: str) -> list[str]:
    return [_LOGGED.sub(r"\1 ", line.removeprefix("nginx: ")) for line in map(one_line, output.split("\n")) if line]


def _joined(lines: Iterable[str]) -> str:
    return one_line("; ".join(dict.fromkeys(lines)), _MAX_WORDS)
