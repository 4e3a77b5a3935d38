"""reload: make the daemon read its settings again; invalid ones change nothing."""

import asyncio
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.service import remote
from wellkeeper_node.wording import counted

_KEPT: Final = "A running daemon keeps its current settings. Fix these, then run 'wellkeeper reload' again."


@click.command()
@options.config_option
@options.json_option
def reload(config: Path | None, *, as_json: bool) -> None:
    """Make the daemon read its settings and drop-ins again.

    Exit status: 0 reloaded, 1 no daemon is running, 2 the new settings are invalid (the daemon keeps the old ones).
    """
    try:
        settings = options.read(config)
        answer = asyncio.run(remote.demand(settings, {"command": "reload"}))
    except SettingsError as error:
        raise SettingsError(error.what, error.why, f"{error.remedy} {_KEPT}".strip()) from error
    if as_json:
        print_json(answer)
    else:
        click.echo(describe(answer))


def describe(answer: dict[str, Any]) -> str:
    """Return a summary of the settings that the daemon read."""
    changes = [f"{len(answer[key])} {key}: {', '.join(answer[key])}" for key in ("new", "gone") if answer[key]]
    count = answer["count"]
    return "; ".join([f"read {answer['path']}: {counted(count, 'certificate')}", *changes])
