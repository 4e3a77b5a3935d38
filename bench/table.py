"""Print the table on the terminal."""

from collections.abc import Sequence

from rich.table import Table

from bench.figures import Result, Series, shown


def table(results: Sequence[Result]) -> Table:
    """Return a table with a line for each series, then the goals."""
    made = Table(title="scripts/bench", title_justify="left")
    for column in ("", "who, or what for", "median", "lowest – highest"):
        made.add_column(column, justify="right" if column == "median" else "left")
    for result in results:
        made.add_row(f"[bold]{result.title}[/]")
        for one in result.series:
            made.add_row(one.group, one.name, amount(one), spread(one))
        made.add_section()
    made.add_row("[bold]Goals[/]")
    for goal in (goal for result in results for goal in result.goals):
        mark = "[green]met[/]" if goal.is_met else "[red]missed[/]"
        made.add_row(goal.name, goal.text, shown(goal.found), mark)
    return made


def amount(series: Series) -> str:
    return f"{shown(series.median)} {series.unit}".rstrip()


def spread(series: Series) -> str:
    return f"{shown(min(series.values))} – {shown(max(series.values))}" if len(series.values) > 1 else "once"
