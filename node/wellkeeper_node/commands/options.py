"""Options of several commands, and the history that they write."""

import os
import sys
from pathlib import Path

import click

from wellkeeper_client import working_directory
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.history import HistoryFile, author
from wellkeeper_node.start import CONFIG_VARIABLE, DEFAULT_PATH, DEFAULT_STATE_DIR


def absolute(_context: click.Context, _parameter: click.Parameter, path: Path) -> Path:
    """Return the whole path of an option. Raises UsageError for a relative one in a directory that was deleted."""
    if not path.is_absolute() and working_directory.is_deleted():
        raise click.UsageError(working_directory.MESSAGE)
    return path.absolute()


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),  # who reads it names the remedy
    default=DEFAULT_PATH,
    show_default=True,
    envvar=CONFIG_VARIABLE,
    callback=absolute,
    help="The settings file of this node (TOML).",
)
state_dir_option = click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_STATE_DIR,
    show_default=True,
    callback=absolute,
    help="Directory for the keys of this node, mode 0700.",
)


def own_history(state_dir: Path) -> HistoryFile:
    """Return the history of this node, as this process writes it."""
    return HistoryFile(state_dir, lambda: author("wellkeeper-node", sys.argv[1:], os.environ), SystemClock())
