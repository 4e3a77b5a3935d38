"""Print lines and tables: fitted to the terminal and coloured there, plain and never cut elsewhere."""

import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import click

# A last column that is narrower than this moves to a line of its own.
_LEAST: Final = 20
_GAP: Final = "  "
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
        found = [part for line in found for part in _wrapped(line, width())]
    click.echo("\n".join(found))  # one by one, ten thousand lines take a tenth of a run


def _wrapped(line: str, columns: int) -> list[str]:
    if len(line) <= columns:
        return [line]
    indent = line[: len(line) - len(line.lstrip())] + _GAP
    return textwrap.wrap(line, columns, subsequent_indent=indent, break_on_hyphens=False, drop_whitespace=True)


def print_table(titles: Sequence[str], rows: Sequence[Row], *, name_column: int, cuts_last: bool) -> None:
    """Print a table. On a terminal `cuts_last` shortens the last column, which is wrapped otherwise.

    Where the columns do not fit, each row becomes a line with its name, and indented lines with all else.
    """
    if not is_terminal():
        click.echo("\n".join(_plain([titles, *(row.cells for row in rows)])))
        return
    from wellkeeper_issuer.commands.terminal.rich_table import print_stacked, print_wide

    longest = max((len(row.cells[-1]) for row in rows), default=0)
    fixed = sum(size + len(_GAP) for size in _sizes([titles, *(row.cells for row in rows)])[:-1])
    if fixed + min(longest, _LEAST) <= width():
        print_wide(titles, rows, last=width() - fixed, cuts_last=cuts_last)
    else:
        print_stacked(titles, rows, name_column=name_column, cuts_last=cuts_last)


def _sizes(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*lines, strict=True)]


def _plain(lines: Sequence[Sequence[str]]) -> list[str]:
    sizes = _sizes(lines)
    return [_plain_line(line, sizes) for line in lines]


def _plain_line(cells: Sequence[str], sizes: Sequence[int]) -> str:
    """Return the cells in columns; an empty one is a dash, so that programs can count them, unless it is the last."""
    padded = [f"{cell or '-':{size}}" for cell, size in zip(cells[:-1], sizes, strict=False)]
    return _GAP.join([*padded, cells[-1]]).rstrip()
