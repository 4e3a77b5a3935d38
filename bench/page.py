"""Write the part of docs/benchmarks.md between two marks; the rest is written by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench import machine as this_machine
from bench.chart import chart
from bench.figures import Result, shown
from bench.table import amount, spread

PAGE: Final = "benchmarks.md"
CHART: Final = "benchmarks.svg"
BEGIN: Final = "<!-- written by scripts/bench: begin -->"
END: Final = "<!-- written by scripts/bench: end -->"


def write(docs: Path, results: Sequence[Result], machine: dict[str, Any]) -> None:
    """Replace the results and the chart; raises ValueError when the page has no marks."""
    page = docs / PAGE
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for results: it needs the lines {BEGIN!r} and {END!r}")
    page.write_text(f"{before}{BEGIN}\n{results_text(results, machine)}{END}{after}")
    (docs / CHART).write_text(chart(results))


def results_text(results: Sequence[Result], machine: dict[str, Any]) -> str:
    """Return Markdown with the machine, the goals, and one table per measurement."""
    parts = [
        f"{this_machine.to_text(machine)}\n\n![Bars of the figures below]({CHART})\n\n### Goals\n\n",
        _goals(results),
    ]
    for result in results:
        notes = "".join(f"\n{note}\n" for note in result.notes)
        parts.append(f"\n### {result.title}\n\n{_series(result)}{notes}")
    return "\n" + "".join(parts) + "\n"


def _goals(results: Sequence[Result]) -> str:
    rows = [
        (goal.name, goal.text, shown(goal.found), "met" if goal.is_met else "**missed**")
        for result in results
        for goal in result.goals
    ]
    return _table(("goal", "promised", "found", ""), rows)


def _series(result: Result) -> str:
    rows = [(one.group, one.name, amount(one), spread(one)) for one in result.series]
    return _table(("", "", "median", "lowest – highest"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
