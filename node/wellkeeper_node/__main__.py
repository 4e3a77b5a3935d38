"""wellkeeper-node: the program of a node, which gets tokens and certificates from an issuer on another host."""

import logging
import sys
from collections.abc import Sequence

import click

from wellkeeper_client import streams
from wellkeeper_node.commands.init import init
from wellkeeper_node.commands.join import join
from wellkeeper_node.commands.leave import leave
from wellkeeper_node.commands.rotate import rotate
from wellkeeper_node.commands.run import run
from wellkeeper_node.commands.status import status
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.start import check_health


def _check_health(context: click.Context, _: click.Parameter, is_wanted: bool) -> None:
    if is_wanted:
        context.exit(check_health())


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="wellkeeper", prog_name="wellkeeper-node")
@click.option(
    "--check-health",
    is_flag=True,
    expose_value=False,
    callback=_check_health,
    help="Check that the agent works; exit with 0 if it does, else with 1.",
)
def cli() -> None:
    """Get tokens and certificates from an issuer on another host.

    Exit status: 0 success, 1 something failed, 2 usage.
    """
    if click.get_current_context().invoked_subcommand != status.name:
        streams.report_on_stderr()


for command in (join, init, leave, rotate, run, status):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command with these arguments, by default those of the process."""
    streams.secure("wellkeeper-node")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        cli(arguments, prog_name="wellkeeper-node")
    except SystemExit as ended:
        sys.exit(ended.code or int(streams.is_output_lost()))
    except WellkeeperError as error:
        click.echo("wellkeeper-node: " + "\n  ".join(error.lines), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
