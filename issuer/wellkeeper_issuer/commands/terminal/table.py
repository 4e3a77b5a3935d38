"""Print tables: fitted to the terminal and coloured there, plain and never cut elsewhere."""

from collections.abc import Sequence
from typing import Final

import click

from wellkeeper_issuer.commands.terminal.screen import GAP, Row, is_terminal, width

# A last column that is narrower than this moves to a line of its own.
_LEAST: Final = 20


def print_table(titles: Sequence[str], rows: Sequence[Row], *, name_column: int, cuts_last: bool) -> None:
    """Print a table. On a terminal `cuts_last` shortens the last column, which is wrapped otherwise.

    Where the columns do not fit, each row becomes a line with its name, and indented lines with all else.
    """
    if not is_terminal():
        click.echo("\n".join(_plain([titles, *(row.cells for row in rows)])))
        return
    from wellkeeper_issuer.commands.terminal.rich_table import print_stacked, print_wide

    longest = max((len(row.cells[-1]) for row in rows), default=0)
    fixed = sum(size + len(GAP) for size in _sizes([titles, *(row.cells for row in rows)])[:-1])
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
    return GAP.join([*padded, cells[-1]]).rstrip()
