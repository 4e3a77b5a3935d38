"""Show the findings of doctor: the worst first, each with cause, place and fix, and one summary line."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import click

from wellkeeper_issuer.commands.terminal import screen
from wellkeeper_issuer.commands.terminal.options import Verbosity
from wellkeeper_node.findings import Finding, Verdict, worst

# The worst first; what was skipped may be as bad as a warning.
_ORDER: Final = (Verdict.FAIL, Verdict.WARN, Verdict.SKIPPED, Verdict.OK)
_SHOWN: Final = {Verbosity.QUIET: _ORDER[:1], Verbosity.BRIEF: _ORDER[:3], Verbosity.VERBOSE: _ORDER}
_COLOURS: Final = {Verdict.FAIL: "red", Verdict.WARN: "yellow", Verdict.SKIPPED: "blue", Verdict.OK: "green"}
_SUBJECTS: Final = 3
_WIDTH: Final = max(map(len, Verdict)) + len(screen.GAP)
_INDENT: Final = " " * _WIDTH


def to_json(found: Sequence[Finding]) -> dict[str, Any]:
    """Return the object of `doctor --json`."""
    counts = {one.value: sum(finding.verdict is one for finding in found) for one in _ORDER}
    return {"verdict": worst(found).value, "counts": counts, "findings": list(map(asdict, found))}


def show(found: Sequence[Finding], verbosity: Verbosity) -> None:
    """Print what the verbosity asks for, and the summary unless it is QUIET."""
    shown = [one for verdict in _SHOWN[verbosity] for one in found if one.verdict is verdict]
    print_findings(_merged(shown))
    if verbosity is not Verbosity.QUIET:
        click.echo(summary(found))


def print_findings(shown: Sequence[Finding]) -> None:
    """Print the findings in this order, fitted to a terminal; the first word is the verdict."""
    for one in shown:
        lines = list(_lines(one))
        if screen.is_terminal():
            lines = [part for line in lines for part in screen.wrapped(line, screen.width(), _INDENT)]
            if screen.has_colours():
                word = one.verdict.value
                lines[0] = click.style(word, fg=_COLOURS[one.verdict]) + lines[0].removeprefix(word)
        click.echo("\n".join(lines))


def _merged(shown: Sequence[Finding]) -> list[Finding]:
    """Return the findings with one for all that were skipped for the same reason, with their subjects and checks."""
    groups = dict[object, list[Finding]]()
    for index, one in enumerate(shown):
        key = (one.cause, bool(one.subject)) if one.verdict is Verdict.SKIPPED else index
        groups.setdefault(key, []).append(one)
    return [_joined(several) if len(several) > 1 else several[0] for several in groups.values()]


def _joined(several: Sequence[Finding]) -> Finding:
    subjects = list(dict.fromkeys(one.subject for one in several if one.subject))
    more = f" and {len(subjects) - _SUBJECTS} more" if len(subjects) > _SUBJECTS else ""
    checks = ", ".join(dict.fromkeys(one.check for one in several))
    return replace(several[0], subject=f"{', '.join(subjects[:_SUBJECTS])}{more}", check=checks)


def summary(found: Sequence[Finding]) -> str:
    """Return one line: `2 fail, 1 warn, 3 skipped, 12 ok`."""
    counts = ((one.value, sum(finding.verdict is one for finding in found)) for one in _ORDER)
    return ", ".join(f"{count} {word}" for word, count in counts if count) or "nothing was checked"


def _lines(one: Finding) -> Iterator[str]:
    about = f"{one.subject}: " if one.subject else ""
    yield f"{one.verdict.value:{_WIDTH}}{about}{one.cause} ({one.check})"
    yield from (f"{_INDENT}{text}" for text in (one.place, one.fix) if text)
