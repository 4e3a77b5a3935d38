"""Options of several commands."""

from pathlib import Path

import click

from wellkeeper_node.start import CONFIG_VARIABLE, DEFAULT_PATH, DEFAULT_STATE_DIR

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_PATH,
    show_default=True,
    envvar=CONFIG_VARIABLE,
    help="The settings file of this node (TOML).",
)
state_dir_option = click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_STATE_DIR,
    show_default=True,
    callback=lambda _context, _parameter, value: Path.cwd() / value,
    help="Directory for the keys of this node, mode 0700.",
)
