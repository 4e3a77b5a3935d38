"""init: make the keys of this node, and print the line with their public halves."""

from pathlib import Path

import click

from wellkeeper_node.agent.keys import NodeKeys
from wellkeeper_node.commands.options import state_dir_option


@click.command()
@state_dir_option
def init(state_dir: Path) -> None:
    """Create the keys of this node, and print its public line.

    The line is for configuration management, and not secret: 'wellkeeper node add NAME LINE' on the issuer's host lets
    this node read and report. Existing keys are kept, and never leave this host.
    """
    keys = NodeKeys(state_dir)
    keys.make()
    click.echo(keys.public.line)
