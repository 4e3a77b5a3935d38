"""leave: forget the fleet on this node. What nginx serves stays."""

import asyncio
import sys
from pathlib import Path

import click

from wellkeeper_node import durable, presence, settings, units
from wellkeeper_node.agent.leaving import forget
from wellkeeper_node.certificates.leaves import read_leaves
from wellkeeper_node.certificates.live import LiveFolder
from wellkeeper_node.commands.options import config_option
from wellkeeper_node.settings import NodeSettings
from wellkeeper_node.start import DEFAULT_PATH
from wellkeeper_node.wording import format_time


@click.command()
@config_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def leave(config: Path, *, yes: bool) -> None:
    """Stop the agent, and delete this node's keys, state and settings.

    Certificates and the trust file stay, and nginx keeps serving; but nothing renews these certificates here any more.
    Run 'wellkeeper node remove NAME' on the issuer's host, too: until then, renewals wait for this node.
    """
    found = settings.read(config)
    if not yes and not _is_confirmed(found.name):
        click.echo("Nothing was deleted.")
        return
    stopped = units.stop(units.NODE, config, DEFAULT_PATH)
    left = forget(found.state_dir, found.name)
    with durable.translated(config):
        config.unlink()
        durable.sync(config.parent)
    click.echo("\n".join(filter(None, [stopped, f"left as {found.name}"])))
    for line in (*asyncio.run(_certificates(found)), *(f"kept  {path}" for path in left)):
        click.echo(line)
    if presence.exists(found.trust_file):
        click.echo(f"kept  {found.trust_file}, which the responder reads")
    click.echo(f"Next: sudo wellkeeper node remove {found.name}      (on the issuer's host)")


def _is_confirmed(name: str) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("Not a terminal: pass --yes to confirm.")
    return click.confirm(f"Delete the keys of node {name}?", err=True)


async def _certificates(node: NodeSettings) -> list[str]:
    """Return what stays for nginx, and until when it can be used."""
    folder = node.certificates_dir
    leaves = await read_leaves(folder, await LiveFolder(folder).versions())
    return [
        f"kept  {folder}/live/{name}, valid until {format_time(leaf.not_after)}"
        for name, leaf in sorted(leaves.items())
    ]
