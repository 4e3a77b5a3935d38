"""run: the agent, which keeps this node in step with the issuer until it is stopped."""

import asyncio
import logging
from pathlib import Path

import click

from wellkeeper_node import rights, settings
from wellkeeper_node.agent import service
from wellkeeper_node.commands.options import config_option
from wellkeeper_node.errors import FleetError


@click.command()
@config_option
def run(config: Path) -> None:
    """Run the agent, which publishes tokens and installs certificates.

    It follows the relays, reloads nginx and reports, until stopped.
    On SIGHUP it reads the settings and the trust file again; it notices changes of the trust file by itself.

    Exit status: 0 stopped on request, 1 keys, trust file or state directory unusable, 2 invalid settings.
    """
    rights.forbid_inspection()
    logging.getLogger().setLevel(logging.INFO)
    try:
        found = settings.read(config)
    except FleetError as error:
        raise click.UsageError("\n  ".join(error.lines)) from error
    asyncio.run(service.run(config, found))
