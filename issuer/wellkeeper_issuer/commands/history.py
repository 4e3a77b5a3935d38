"""history: show what happened on this issuer, to what, and who did it."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_issuer.commands.terminal import options, screen
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import JournalError
from wellkeeper_node import history as files
from wellkeeper_node.advice import files as remedies
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.happened import What
from wellkeeper_node.history import Entry
from wellkeeper_node.wording import counted, format_exact_time

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO: Final = re.compile(r"(\d{1,5})([mhdw])")


class _Since(click.ParamType[datetime]):
    """A number of minutes, hours, days or weeks, or a date."""

    name = "since"

    def convert(self, value: str, parameter: click.Parameter | None, context: click.Context | None) -> datetime:
        if found := _AGO.fullmatch(value):
            return SystemClock().now() - timedelta(**{_UNITS[found[2]]: int(found[1])})
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is neither a duration, such as 7d, 12h or 30m, nor a date, such as 2026-01-31",
                parameter,
                context,
            )
        return at if at.tzinfo else at.replace(tzinfo=UTC)


@click.command()
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--since", type=_Since(), metavar="TIME", help="Only since then: 7d, 12h, 30m, or a date.")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice([one.value for one in What]),
    metavar="KIND",
    multiple=True,
    help="Only this kind of event, such as node-joined; repeatable.",
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Show at most the newest N.")
@options.config_option
@options.json_option
def history(  # noqa: PLR0913 - the options
    name: str | None,
    config: Path | None,
    *,
    since: datetime | None,
    kinds: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """Show what happened, the newest last: who joined, which command changed what, what was delivered where.

    With NAME, only what is about this node, certificate or other subject. 'wellkeeper run' is the daemon.
    """
    state_dir = options.read(config, is_for_standbys=True).state_dir
    entries, damaged = _read(state_dir)
    found = [one for one in entries if _is_wanted(one, name, since, kinds)]
    shown = found[-limit:]
    if as_json:
        print_json({"events": list(map(_to_json, shown)), "left_out": len(found) - len(shown), "damaged": damaged})
    else:
        screen.print_lines(_to_lines(shown, len(found) - len(shown), damaged))


def _read(state_dir: Path) -> tuple[list[Entry], int]:
    try:
        return files.read(state_dir)
    except OSError as error:
        what = f"cannot read {error.filename or state_dir}"
        raise JournalError(what, error.strerror or str(error), remedies.of_reading(error)) from error


def _is_wanted(one: Entry, name: str | None, since: datetime | None, kinds: Sequence[str]) -> bool:
    if (kinds and one.what not in kinds) or (since is not None and one.at < since):
        return False
    return name is None or name == one.subject or any(name in words.split(", ") for words in one.details.values())


def _to_lines(shown: Sequence[Entry], left_out: int, damaged: int) -> Iterator[str]:
    if left_out:
        yield f"{counted(left_out, 'earlier event')} not shown: see --limit and --since"
    for one in shown:
        yield f"{format_exact_time(one.at)}  {one.what}  {one.subject}"
        yield from (f"  {name.replace('_', ' ')}: {words}" for name, words in one.details.items())
        by = f"{one.author.user} (sudo: {one.author.sudo_user})" if one.author.sudo_user else one.author.user
        yield f"  by {by}: {one.author.command}"
    if not shown:
        yield "nothing is recorded"
    if damaged:
        yield f"{counted(damaged, 'line')} of the history cannot be read"


def _to_json(one: Entry) -> dict[str, Any]:
    by = one.author
    return {
        "at": one.at.isoformat(),
        "kind": one.what,
        "subject": one.subject,
        "details": dict(one.details),
        "user": by.user,
        "sudo_user": by.sudo_user or None,
        "command": by.command,
    }
