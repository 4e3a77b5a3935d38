"""rotate: make the next keys of this node, which its agent uses once the issuer has enrolled them."""

from pathlib import Path

import click

from wellkeeper_node import settings
from wellkeeper_node.agent.keys import NodeKeys
from wellkeeper_node.commands.options import config_option, own_history
from wellkeeper_node.happened import Happened, What


@click.command()
@config_option
def rotate(config: Path) -> None:
    """Replace the keys of this node.

    The agent offers the next keys in its reports, which the current key signs. It uses them once the issuer has
    enrolled them: within seconds if both run, else later. You can repeat this.
    """
    state_dir = settings.read(config).state_dir
    for path in NodeKeys(state_dir).prepare():
        own_history(state_dir).add(Happened(What.KEY_MADE, "node", {"file": path.name}))
        click.echo(f"made   {path}")
    click.echo("The agent uses the next keys once the issuer has enrolled them. Its log says so.")
