"""Print tables in a terminal with rich; output elsewhere does without it, as it takes 0.1 s to load."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wellkeeper_issuer.commands.terminal.console import make_console
from wellkeeper_issuer.commands.terminal.screen import Row


def print_wide(titles: Sequence[str], rows: Sequence[Row], *, last: int, cuts_last: bool) -> None:
    """Print one line per row; only the last column, of `last` characters, is cut or wrapped."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles[:-1]:
        table.add_column(title, no_wrap=True)
    table.add_column(titles[-1], no_wrap=cuts_last, overflow="ellipsis" if cuts_last else "fold", max_width=last)
    for row in rows:
        table.add_row(Text(row.cells[0], row.colour), *map(Text, row.cells[1:]))
    make_console().print(table)


def print_stacked(titles: Sequence[str], rows: Sequence[Row], *, name_column: int, cuts_last: bool) -> None:
    """Print the cells up to the name on one line, the others on indented lines below it."""
    console = make_console()
    for row in rows:
        names = "".join(f"  {cell}" for cell in row.cells[1 : name_column + 1])
        first = Text.assemble((row.cells[0], row.colour), names)
        console.print(first, overflow="fold")
        cells = list(zip(titles, row.cells, strict=True))[name_column + 1 : -1]
        if dated := ", ".join(f"{title.lower()}: {cell}" for title, cell in cells if cell):
            _print_indented(console, dated, cuts=False)
        if row.cells[-1]:
            _print_indented(console, row.cells[-1], cuts=cuts_last)


def _print_indented(console: Console, text: str, *, cuts: bool) -> None:
    shown = Text(text, overflow="ellipsis" if cuts else "fold", no_wrap=cuts)
    shown_lines = shown.wrap(console, console.width - 2, overflow=shown.overflow, no_wrap=cuts)
    for line in shown_lines:
        line.rstrip()
        console.print(Text("  ") + line, overflow="ellipsis", no_wrap=True)
