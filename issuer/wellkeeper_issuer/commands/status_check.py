"""Check what `status --check` checks, also for the daemon's heartbeat."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from wellkeeper_issuer.commands import status_issuers, status_nodes
from wellkeeper_issuer.commands.status_issuers import Issuers
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.status import overview
from wellkeeper_issuer.status.certificate_status import State
from wellkeeper_issuer.status.overview import Overview
from wellkeeper_issuer.status.targets import failing, long_failing

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.node_status import NodeStatus

# Whatever handshakes bring, these are not what the settings ask for.
_NEVER_SERVED: Final = frozenset({State.MISSING, State.PLACEHOLDER, State.EXPIRED, State.REFUSED, State.NOT_RELOADED})


@dataclass(frozen=True, slots=True)
class Checked:
    """`lines` name what needs a person; what is not served may have none."""

    lines: Sequence[str]
    is_served: bool

    @property
    def is_well(self) -> bool:
        return self.is_served and not self.lines


def check(settings: Settings, seen: Overview, nodes: "Sequence[NodeStatus]", issuers: Issuers) -> Checked:
    """Verify by handshake what nginx serves, and look for other problems on record."""
    lines = [*_unserved(settings), *_about_nodes(settings, nodes, issuers)]
    lines += failing(long_failing(seen.targets, seen.now))
    return Checked(lines, _is_served(seen))


def report(settings: Settings, seen: Overview, nodes: "Sequence[NodeStatus]", issuers: Issuers) -> bool:
    """Print what needs a person, and return whether nothing does."""
    checked = check(settings, seen, nodes, issuers)
    for line in checked.lines:
        click.echo(line, err=True)
    return checked.is_well


def is_well(settings: Settings) -> bool:
    """Return whether `status --check` would exit with 0 now. Blocks, for as long as handshakes take."""
    nodes = status_nodes.read_if_any(settings)
    seen = asyncio.run(overview.look(settings, settings.lineages(), reads_certificates=False))
    return check(settings, seen, nodes, status_issuers.read(settings)).is_well


def _unserved(settings: Settings) -> Sequence[str]:
    from wellkeeper_issuer.assembly.check_now import ServedNow

    found = asyncio.run(ServedNow(settings).failures(settings.lineages()))
    return [f"{name}: {error}" for name, error in found.items()]


def _is_served(seen: Overview) -> bool:
    """Return false, too, when nothing is configured: monitoring then watches the wrong settings."""
    return bool(seen.shown) and not any(one.status.state in _NEVER_SERVED or one.lacks_names for one in seen.shown)


def _about_nodes(settings: Settings, nodes: "Sequence[NodeStatus]", issuers: Issuers) -> Sequence[str]:
    """Return which nodes need a person, also soon because of the manifest."""
    lines = [*issuers.problems(), *status_nodes.problems(nodes)]
    return [*lines, *(status_nodes.fullness(settings) if nodes else ())]
