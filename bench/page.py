"""Write the parts of docs/benchmarks.md between marks, and their charts; the rest is written by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import machine as this_machine
from bench.chart import chart
from bench.figures import Result, shown
from bench.table import amount, spread

PAGE: Final = "benchmarks.md"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the page, which its measurements write together; `chart` is a file beside the page, if it has one."""

    name: str
    chart: str = ""

    @property
    def begin(self) -> str:
        return f"<!-- written by scripts/bench, {self.name}: begin -->"

    @property
    def end(self) -> str:
        return f"<!-- written by scripts/bench, {self.name}: end -->"


HOST: Final = Part("host", "benchmarks.svg")
FLEET: Final = Part("fleet", "benchmarks-fleet.svg")
ENGINE: Final = Part("engine", "benchmarks-engine.svg")
STATUS_PAGE: Final = Part("status-page")


def write(docs: Path, part: Part, results: Sequence[Result], machine: dict[str, Any]) -> None:
    """Replace the results and the chart of this part; raises ValueError when the page has no marks."""
    page = docs / PAGE
    before, begin, rest = page.read_text().partition(part.begin)
    _, end, after = rest.partition(part.end)
    if not begin or not end:
        raise ValueError(f"{page} has no place for results: it needs the lines {part.begin!r} and {part.end!r}")
    page.write_text(f"{before}{part.begin}\n{results_text(part, results, machine)}{part.end}{after}")
    if part.chart:
        (docs / part.chart).write_text(chart(results))


def results_text(part: Part, results: Sequence[Result], machine: dict[str, Any]) -> str:
    """Return Markdown with the machine, the goals, and one table per measurement."""
    image = f"![Bars of the figures below]({part.chart})\n\n" if part.chart else ""
    parts = [f"{this_machine.to_text(machine)}\n\n{image}### Goals\n\n", _goals(results)]
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
