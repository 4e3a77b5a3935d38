"""Print lines fitted to the terminal, and as they are elsewhere."""

import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import click

GAP: Final = "  "
_USUAL_WIDTH: Final = 80


@dataclass(frozen=True, slots=True)
class Row:
    """One certificate in a table; `colour` is that of its first cell."""

    cells: Sequence[str]
    colour: str = ""


def is_terminal() -> bool:
    return sys.stdout.isatty()


def is_dumb() -> bool:
    """Return whether the terminal can neither move the cursor nor show colours."""
    return os.environ.get("TERM") in {"dumb", "unknown"}


def width(file_descriptor: int = 1) -> int:
    """Return the columns of the terminal; $COLUMNS counts first."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(file_descriptor).columns or _USUAL_WIDTH
    except OSError:
        return _USUAL_WIDTH


def has_colours() -> bool:
    """Return whether colours are wanted; see https://no-color.org."""
    return not os.environ.get("NO_COLOR") and not is_dumb()


def print_lines(lines: Iterable[str]) -> None:
    """Print all lines at once; a terminal gets none that is longer than it is wide."""
    found = [part for line in lines for part in line.split("\n")]
    if is_terminal():
        found = [part for line in found for part in wrapped(line, width(), _indent(line))]
    click.echo("\n".join(found))  # one by one, ten thousand lines take a tenth of a run


def wrapped(line: str, columns: int, indent: str) -> list[str]:
    """Return parts of the line that are not longer than that; all but the first have this indent."""
    if len(line) <= columns:
        return [line]
    return textwrap.wrap(line, columns, subsequent_indent=indent, break_on_hyphens=False, drop_whitespace=True)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())] + GAP
