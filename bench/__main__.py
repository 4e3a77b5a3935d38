"""scripts/bench: run all or some measurements; print a table, and write a JSON file and parts of the page in docs/."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from bench import (
    bulk,
    costs,
    far_ca,
    idle,
    issuance,
    machine,
    nothing_due,
    page,
    reloads,
    sealing,
    serving,
    status_page,
)
from bench.engine import contents, news, outages
from bench.engine import tokens as engine_tokens
from bench.figures import FULL, QUICK, Plan, Result, Tell
from bench.fleet import idle as fleet_idle
from bench.fleet import large, many, newcomer, renewal, tokens
from bench.table import table
from stand.processes import PROJECT, StandError, temporary_folder

_Measure = Callable[[Plan, Path, Tell], Awaitable[Result]]
_HOST: Final = (issuance, far_ca, serving, costs, reloads, nothing_due, bulk, idle)
_FLEET: Final = (tokens, renewal, sealing, newcomer, fleet_idle, many, large)
_ENGINE: Final = (news, contents, engine_tokens, outages)
_BY_PART: Final = {page.HOST: _HOST, page.FLEET: _FLEET, page.ENGINE: _ENGINE, page.STATUS_PAGE: (status_page,)}
_MEASUREMENTS: Final[Mapping[str, _Measure]] = {
    one.NAME: one.measure for modules in _BY_PART.values() for one in modules
}
# By the part of the page that they write together.
_PARTS: Final = {part: [module.NAME for module in modules] for part, modules in _BY_PART.items()}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help=f"Fewer rounds ({QUICK.rounds} instead of {FULL.rounds}) and fewer tokens.")
@click.option(
    "--only",
    "names",
    type=click.Choice(list(_MEASUREMENTS)),
    multiple=True,
    help="Run only this measurement; may be repeated.",
)
@click.option(
    "--part",
    "parts",
    type=click.Choice([part.name for part in _PARTS]),
    multiple=True,
    help="Run only the measurements of one host, of a fleet, of an engine beside its relay, or of the status page.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=PROJECT / ".cache/bench.json",
    help="File for the JSON.  [default: .cache/bench.json]",
)
def main(quick: bool, names: tuple[str, ...], parts: tuple[str, ...], output: Path) -> None:
    """Measure Wellkeeper and its yardsticks.

    A run without --quick also writes each part of docs/benchmarks.md that was measured completely, and its chart. A
    missed goal is reported, but is not an error.
    """
    of_parts = [name for part, several in _PARTS.items() if part.name in parts for name in several]
    chosen = list(dict.fromkeys((*names, *of_parts))) or list(_MEASUREMENTS)
    try:
        found = machine.describe()
        results, failures = asyncio.run(_interruptible(QUICK if quick else FULL, chosen))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("interrupted; all started processes have ended", err=True)
        sys.exit(130)
    except StandError as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(1)
    Console().print(table(results))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(_to_json(results, found, is_quick=quick), indent=2) + "\n")
    click.echo(f"written: {output}", err=True)
    for failure in failures:
        click.echo(f"bench: {failure}", err=True)
    if failures:
        sys.exit(1)
    for part, wanted in _PARTS.items():
        of_part = [one for one in results if one.name in wanted]
        if not quick and len(of_part) == len(wanted):
            page.write(PROJECT / "docs", part, of_part, found)
            files = filter(None, (page.PAGE, part.chart))
            click.echo(f"written: {', '.join(f'docs/{file}' for file in files)}", err=True)


async def _interruptible(plan: Plan, names: Sequence[str]) -> tuple[list[Result], list[str]]:
    """Return the results and the failures: one failed measurement must not lose half an hour of others."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    results, failures = [], []
    for name in names:
        with temporary_folder() as folder:
            try:
                results.append(await _MEASUREMENTS[name](plan, folder, _tell))
            except StandError as error:
                failures.append(f"{name}: {error}")
    return results, failures


def _to_json(results: Sequence[Result], found: dict[str, Any], *, is_quick: bool) -> dict[str, Any]:
    measurements = {result.name: result.to_json() for result in results}
    return {"machine": found, "is_quick": is_quick, "measurements": measurements}


def _tell(text: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {text}", err=True)


if __name__ == "__main__":
    main()
