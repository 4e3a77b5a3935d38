"""Explain TOML syntax errors: place, line, caret and a hint."""

import re
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Final

from wellkeeper_issuer.errors import SettingsError

_PLACE: Final = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")
_BARE_TEXT: Final = re.compile(r"\s*([\w.-]+)\s*=\s*([A-Za-z/*][^\s\"'#]*)\s*(#.*)?$")
# Lines longer than this are shown in part.
_SHOWN: Final = 100


def syntax_error(path: Path, text: str, error: TOMLDecodeError) -> SettingsError:
    """Return the error with `FILE:LINE:COLUMN`, the line with a caret below, and a hint."""
    words = _PLACE.sub("", str(error))
    lines = text.split("\n")
    place = _PLACE.search(str(error))
    if place and place["line"]:
        number, column = int(place["line"]), int(place["column"])
    else:
        number = max((index for index, line in enumerate(lines, 1) if line.strip()), default=1)
        column = len(lines[number - 1]) + 1
    line = lines[number - 1].rstrip("\r")
    start = max(0, column - _SHOWN)
    pointer = re.sub(r"[^\t]", " ", line[start : column - 1]).ljust(column - 1 - start)
    shown = f"{line[start : start + _SHOWN]}\n  {pointer}^"
    return SettingsError(f"{path}:{number}:{column}: not valid TOML: {words}", shown, _hint(line, words))


def _hint(line: str, words: str) -> str:
    if bare := _BARE_TEXT.match(line):
        return f'Put text in quotes: {bare[1]} = "{bare[2]}".'
    if "overwrite" in words or "mutate" in words:
        return "The key appears twice; keep one of them."
    if "twice" in words:
        return "The table appears twice; merge them, or write [[NAME]] for a list of tables."
    if "array" in words.lower():
        return "Separate entries with commas, and close the list with ']'."
    if any(part in words for part in ("string", "Illegal character", 'Expected "\'"', "Expected '\"'")):
        return "Close the string with the quote that opened it."
    return 'Write each setting as KEY = VALUE, with text in quotes: ca = "letsencrypt".'
