"""promote: make this standby the issuer, once the other one is lost."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wellkeeper_client import services
from wellkeeper_issuer.commands.backing_up.standby import read_node
from wellkeeper_issuer.commands.terminal import interrupts, options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import BackupError, SettingsError
from wellkeeper_issuer.outside.state.standby import Standby, read_standby
from wellkeeper_node.happened import Happened, What
from wellkeeper_node.wording import counted

if TYPE_CHECKING:
    from wellkeeper_issuer.assembly.promotion import Looked


@click.command()
@click.option("--force", is_flag=True, help="Promote even if the other issuer may be working; asks in a terminal.")
@click.option("--dry-run", is_flag=True, help="Show what this host knows about the other issuer; change nothing.")
@options.config_option
@options.json_option
def promote(config: Path | None, *, force: bool, dry_run: bool, as_json: bool) -> None:
    """Make this standby the issuer, because the other one is lost.

    Refused if this host's agent has heard from that issuer within five minutes, through any relay in node.toml. Nothing
    that this node has is ordered again. Start nothing on the former host afterwards. If interrupted, run it again.

    Exit status: 0 promoted, 1 refused, or the state cannot be used, 2 usage or settings.
    """
    from wellkeeper_issuer.assembly import build, promotion

    settings = options.read(config, is_for_standbys=True)
    standby = read_standby(settings.state_dir)
    if standby is None:
        remedy = "Run 'wellkeeper restore --standby FILE' on a node first."
        raise SettingsError("cannot promote this host", "it is not a standby", remedy)
    node = read_node()
    looked = asyncio.run(promotion.look(settings, node, standby))
    if not dry_run:
        _check(looked, is_forced=force)
        interrupts.run(promotion.promote(settings, node, looked))
        build.history(settings.state_dir).add(Happened(What.STANDBY_PROMOTED, standby.host, _details(looked)))
    if as_json:
        print_json(_to_json(standby, looked, is_promoted=not dry_run))
    else:
        click.echo("\n".join(_to_lines(standby, looked, is_promoted=not dry_run)))


def _check(looked: "Looked", *, is_forced: bool) -> None:
    """Raise BackupError when there are doubts, unless a person insists."""
    if not looked.doubts:
        return
    if not is_forced:
        what, why = "cannot promote this standby yet", "; ".join(looked.doubts)
        raise BackupError(what, why, "Stop that issuer, or wait five minutes after its loss; --force promotes anyway.")
    for doubt in looked.doubts:
        click.echo(f"warning: {doubt}", err=True)
    if sys.stdin.isatty():
        click.confirm("Two issuers may renew the same certificates. Promote this host?", abort=True, err=True)


def _details(looked: "Looked") -> dict[str, str]:
    return {"doubts": "; ".join(looked.doubts)} if looked.doubts else {}


def next_steps(standby: Standby, *, is_running: bool = False) -> tuple[str, ...]:
    """Return what is left for a person after a promotion; `is_running` if the daemon runs already."""
    units = ("wellkeeper-responder",) if is_running else ("wellkeeper-responder", "wellkeeper")
    return (
        f"Make sure that the issuer on {standby.host} does not start again.",
        "Run 'wellkeeper-node leave --yes': this host is no longer a node. Its certificates stay.",
        "Run 'wellkeeper fleet listen ADDRESS…' with an address of this host that node.toml has on the other nodes.",
        *(services.sentence("enable --now", unit) for unit in units),
        "Run 'wellkeeper status': the issuer orders nothing until all nodes have reported, and names the missing ones.",
        "Make a backup.",
    )


def _to_lines(standby: Standby, looked: "Looked", *, is_promoted: bool) -> list[str]:
    lines = [standby.line] if not is_promoted else [f"this host is the issuer now, instead of {standby.host}"]
    lines += [f"relay     {name}: {why or 'answers'}" for name, why in looked.relays.items()]
    lines += [f"doubt     {one}" for one in looked.doubts]
    lines += [f"has       {counted(len(looked.issued), 'certificate')} issued after the backup"]
    lines += [f"lacks     {name}, which is ordered again" for name in looked.missing]
    if is_promoted:
        lines += ["", "Next steps:", *(f"  {number}. {one}" for number, one in enumerate(next_steps(standby), 1))]
    return lines


def _to_json(standby: Standby, looked: "Looked", *, is_promoted: bool) -> dict[str, Any]:
    return {
        "is_promoted": is_promoted,
        "host": standby.host,
        "backup_at": standby.backup_at.isoformat(),
        "doubts": list(looked.doubts),
        "relays": looked.relays,
        "issued": len(looked.issued),
        "missing": list(looked.missing),
        "next_steps": list(next_steps(standby)) if is_promoted else [],
    }
