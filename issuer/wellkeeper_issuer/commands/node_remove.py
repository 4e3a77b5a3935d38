"""node remove: send a node nothing more; with --compromised, also replace and revoke what it could read."""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from wellkeeper_issuer.assembly import build, fleets
from wellkeeper_issuer.commands.one_shot import Work, run
from wellkeeper_issuer.commands.one_shot import to_json as report_to_json
from wellkeeper_issuer.commands.terminal import interrupts, options, results
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.reports import Mode, Outcome, Report
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.service.node_requests import REMOVE
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.upkeep.planner import record_exposed
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.happened import Happened, What
from wellkeeper_node.wording import counted

if TYPE_CHECKING:
    from wellkeeper_issuer.assembly.exposed import Exposed
    from wellkeeper_issuer.obtain.limits import Cost
    from wellkeeper_issuer.outside.state.state import State
    from wellkeeper_issuer.ports.fleet import EnrolledNode, OpenInvite

_REPLACED: Final = frozenset({Outcome.SERVED, Outcome.INSTALLED, Outcome.NOT_SERVED_YET})
# Of many limits, those with the least left.
_SHOWN_COSTS: Final = 10


@dataclass(frozen=True, slots=True)
class _Removal:
    """The certificates that the node could read, their cost by CA, and the names of those whose keys are not here.

    `invite` is the open one with which it joined, if others may use it, too.
    """

    name: str
    exposed: "Sequence[Exposed]" = ()
    costs: "Sequence[tuple[str, Cost]]" = ()
    kept: Sequence[str] = ()
    invite: str = ""
    is_compromised: bool = False

    @property
    def names(self) -> list[str]:
        return [one.lineage.name for one in self.exposed]


@dataclass(frozen=True, slots=True)
class Removed:
    """The result: certificates that were revoked, and why others were not."""

    reports: Sequence[Report] = ()
    revoked: Sequence[str] = ()
    errors: Mapping[str, WellkeeperError] = field(default_factory=dict)

    @property
    def has_failed(self) -> bool:
        return bool(self.errors) or any(one.outcome in results.UNSUCCESSFUL for one in self.reports)


@click.command()
@click.argument("name", metavar="NAME")
@click.option("--compromised", is_flag=True, help="Also replace all certificates that it could read, and revoke them.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@options.config_option
@options.json_option
def remove(name: str, config: Path | None, *, as_json: bool, compromised: bool, yes: bool) -> None:
    """Remove the node NAME: it gets no more tokens and certificates, and cannot join again with an invite for one node.

    What it has stays there and is valid until it expires. If someone else may have read its disk, use --compromised:
    each certificate that the node could read is renewed with a new key, even with reuse_key; then its CA is asked to
    revoke the previous versions, to which no node ever goes back.

    Exit status: 0 removed, 1 a certificate could not be replaced or revoked, 2 usage or settings.
    """
    settings = options.read(config)
    removal = asyncio.run(_look(settings, name, is_compromised=compromised))
    if not yes and not _is_confirmed(removal):
        click.echo("Nothing was removed.")
        return
    interrupts.run(_remove(settings, removal))
    details = {"compromised": "yes", "certificates": ", ".join(removal.names)} if compromised else {}
    revoked = [Happened(What.INVITE_REVOKED, removal.invite)] if compromised and removal.invite else []
    build.history(settings.state_dir).add(*revoked, Happened(What.NODE_REMOVED, name, details))
    removed = _replace(settings, removal, as_json=as_json)
    if as_json:
        print_json(_to_json(removal, removed))
    else:
        click.echo("\n".join([f"removed {name}", *_notes(removal), *outcome_lines(removed)]))
    if removed.has_failed:
        click.get_current_context().exit(1)


async def _look(settings: Settings, name: str, *, is_compromised: bool) -> _Removal:
    """Raises SettingsError for an unknown node; one that was only invited could read nothing."""
    async with build.state_to_read(settings) as state:
        nodes, invites = await state.fleet.read_nodes(), await state.fleet.read_invites()
        if name not in nodes and name not in {one.node for one in invites.values()}:
            raise SettingsError(
                f"cannot remove node {name!r}",
                f"the nodes that joined are: {', '.join(nodes) or 'none'}",
                "Run 'wellkeeper node list' for their names.",
            )
        readable = _readable(settings, nodes.get(name)) if is_compromised else []
        removal = await _find(settings, state, name, readable) if readable else _Removal(name)
    return replace(removal, invite=_reusable(nodes.get(name), invites), is_compromised=is_compromised)


def _reusable(node: "EnrolledNode | None", invites: "Mapping[str, OpenInvite]") -> str:
    found = invites.get(node.invite) if node else None
    return found.id if found and found.is_reusable and found.is_open(SystemClock().now()) else ""


async def _find(settings: Settings, state: "State", name: str, readable: Sequence[Lineage]) -> _Removal:
    from wellkeeper_issuer.assembly.exposed import costs, find_exposed

    exposed = await find_exposed(settings, state, [one for one in readable if not (one.csr_path or one.is_external)])
    found = await costs(settings, state, [one.lineage for one in exposed])
    return _Removal(name, exposed, found, [one.name for one in readable if one.csr_path or one.is_external])


def _readable(settings: Settings, node: "EnrolledNode | None") -> list[Lineage]:
    lineages = node.lineages if node else ()
    return [one for one in settings.lineages() if {"*", one.name} & set(lineages)]


async def _remove(settings: Settings, removal: _Removal) -> None:
    """Disown what the node could read, then let the daemon forget the node; without one, forget it here.

    The certificates are due from then on, so the next pass continues what was interrupted.
    """
    names = removal.names
    if names:
        from wellkeeper_issuer.assembly.exposed import disown

        await disown(settings, removal.exposed)
    request = {"command": REMOVE, "name": removal.name, "exposed": names}
    revoked = removal.invite if removal.is_compromised else ""
    if revoked:
        request["invite"] = revoked
    if await remote.ask(settings, request) is not None:
        return
    async with build.owned_state(settings, "node remove") as (state, _):
        await record_exposed(state.schedules, names, SystemClock().now())
        await state.fleet.revoke_invite(revoked, SystemClock().now())
        await state.fleet.forget_node(removal.name)
        async with fleets.fleet(settings, state, is_daemon=False):
            pass


def _replace(settings: Settings, removal: _Removal, *, as_json: bool) -> Removed:
    """Renew with new keys, and revoke what is no longer served."""
    if not removal.exposed:
        return Removed()
    from wellkeeper_issuer.assembly.exposed import revoke

    lineages = [one.lineage for one in removal.exposed]
    reports = run(Work(settings, lineages, Mode.REVOKED, is_json=as_json))
    replaced = [one for one, report in zip(removal.exposed, reports, strict=True) if report.outcome in _REPLACED]
    errors = interrupts.run(revoke(settings, replaced))
    names = [one.lineage.name for one in replaced]
    return Removed(reports, [name for name in names if name not in errors], errors)


def _is_confirmed(removal: _Removal) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("Not a terminal: pass --yes to confirm.")
    for line in (*_cost(removal), *_notes(removal)):
        click.echo(line, err=True)
    count = len(removal.exposed)
    more = f", replace and revoke {counted(count, 'certificate')}" if count else ""
    return click.confirm(f"Remove node {removal.name}{more}?", err=True)


def _cost(removal: _Removal) -> Iterator[str]:
    """Yield what the new certificates cost against the limits of the CAs."""
    if removal.exposed:
        names = ", ".join(one.lineage.name for one in removal.exposed)
        yield f"Needs {counted(len(removal.exposed), 'new certificate')}: {names}"
    for ca, cost in removal.costs[:_SHOWN_COSTS]:
        yield f"{ca} allows {cost}"
    if len(removal.costs) > _SHOWN_COSTS:
        yield f"… and {len(removal.costs) - _SHOWN_COSTS} more limits, of which more is left"


def _notes(removal: _Removal) -> list[str]:
    notes = []
    if removal.kept:
        names = ", ".join(removal.kept)
        notes.append(f"Wellkeeper cannot replace these (csr, external): replace and revoke them by hand: {names}")
    if removal.invite and removal.is_compromised:
        notes.append(f"Invite {removal.invite}, with which it joined, is revoked.")
    elif removal.invite:
        end = f"To prevent that, run 'wellkeeper node invite --revoke {removal.invite}'."
        notes.append(f"With new keys, it can join again with invite {removal.invite}. {end}")
    return notes


def outcome_lines(removed: Removed) -> Iterator[str]:
    """Yield what became of each certificate."""
    yield from map(results.to_text, removed.reports)
    if removed.revoked:
        yield f"revoked the previous versions of {', '.join(removed.revoked)}"
    for name, error in removed.errors.items():
        yield f"{name}: the previous versions are not revoked: {error}"


def _to_json(removal: _Removal, removed: Removed) -> dict[str, Any]:
    certificates = [
        report_to_json(report, one.lineage) for report, one in zip(removed.reports, removal.exposed, strict=False)
    ]
    errors = {name: str(error) for name, error in removed.errors.items()}
    return {
        "name": removal.name,
        "certificates": certificates,
        "kept_keys": list(removal.kept),
        "revoked": list(removed.revoked),
        "not_revoked": errors,
        "invite": removal.invite or None,
    }
