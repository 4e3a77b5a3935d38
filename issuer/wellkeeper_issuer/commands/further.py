"""The findings of doctor with which setup, certificate add and rehearse end: what they did not say already."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import click

from wellkeeper_issuer.assembly.doctor import CHECKS, challenges, nginx
from wellkeeper_issuer.commands.terminal import examining, findings
from wellkeeper_issuer.commands.terminal.network import allowed_network
from wellkeeper_node.findings import Finding, Verdict

# Ids of what a renewal proves, and of what is certain while there was none.
OBTAINED: Final = frozenset({"rehearsal", "served"})
# Ids of what a rehearsal tries itself.
REHEARSED: Final = OBTAINED | {"nginx-test", "responder", "responder-trust", "ca-directory", "ca-account", "reach"}
# Ids that make no sense before nginx has loaded the changes that setup shows, and of the units that it reports itself.
BEFORE_NGINX: Final = OBTAINED | {"service", "reach", "dns-target", "dns-ipv6"}.union(
    *(check.ids for check in (*nginx.CHECKS, *challenges.CHECKS))
)
_LEAST_PART: Final = 15
_HEADING: Final = "\nAlso, 'wellkeeper doctor' reports:"
_SHOWN: Final = (Verdict.FAIL, Verdict.WARN)


def find(
    path: Path, names: Sequence[str], said: str, without: Collection[str], *, has_progress: bool = True
) -> list[Finding]:
    """Run the checks, and return what `select` does. Raises SettingsError."""
    wanted = [one for one in CHECKS if not set(one.ids) <= set(without)]
    return select(examining.run_here(path, names, allowed_network(), wanted, has_progress=has_progress), said, without)


def select(found: Sequence[Finding], said: str, without: Collection[str]) -> list[Finding]:
    """Return what fails or warns, the worst first, except ids in `without` and causes that are in the text `said`."""
    new = [one for one in found if one.check not in without and not _is_said(one.cause, said)]
    return [one for verdict in _SHOWN for one in new if one.verdict is verdict]


def show(found: Sequence[Finding]) -> None:
    """Print them with a heading; nothing without any."""
    if found:
        click.echo(_HEADING)
        findings.print_findings(found)


def _is_said(cause: str, said: str) -> bool:
    """Return whether the text has the cause. An error has its parts on lines of their own; short ones say little."""
    parts = [part for part in cause.split(": ") if len(part) >= _LEAST_PART]
    return cause in said or (bool(parts) and all(part in said for part in parts))
