"""reload: make the daemon read its settings again; invalid ones change nothing."""

import asyncio
from pathlib import Path
from typing import Any, Final

import click

from wellkeeper_issuer.commands.terminal import options
from wellkeeper_issuer.commands.terminal.json_output import print_json
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.location import settings_path
from wellkeeper_issuer.outside.state.standby import read_watch
from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.wording import counted

_KEPT: Final = "A running daemon keeps its current settings. Fix these, then run 'wellkeeper reload' again."

_BY_ITSELF: Final = "; the daemon of this standby reads it again every five seconds"


@click.command()
@options.config_option
@options.json_option
def reload(config: Path | None, *, as_json: bool) -> None:
    """Make the daemon read its settings and drop-ins again.

    A standby that waits to take over reads them every five seconds by itself, so there it does nothing.

    Exit status: 0 reloaded, 1 no daemon is running, 2 the new settings are invalid (the daemon keeps the old ones).
    """
    try:
        settings = options.read(config, is_for_standbys=True)
        is_waiting = read_watch(settings.state_dir, SystemClock().now()) is not None
        if is_waiting:
            answer = _as_of_now(settings, settings_path(config))
        else:
            options.refuse_standbys(config)
            answer = asyncio.run(remote.demand(settings, {"command": "reload"}))
    except SettingsError as error:
        raise SettingsError(error.what, error.why, f"{error.remedy} {_KEPT}".strip()) from error
    if as_json:
        print_json(answer)
    else:
        click.echo(f"{describe(answer)}{_BY_ITSELF if is_waiting else ''}")


def _as_of_now(settings: Settings, path: Path) -> dict[str, Any]:
    """Return what a daemon answers that has these settings already."""
    return {"path": str(path), "count": len(settings.certificates), "new": [], "gone": []}


def describe(answer: dict[str, Any]) -> str:
    """Return a summary of the settings that the daemon read."""
    changes = [f"{len(answer[key])} {key}: {', '.join(answer[key])}" for key in ("new", "gone") if answer[key]]
    count = answer["count"]
    return "; ".join([f"read {answer['path']}: {counted(count, 'certificate')}", *changes])
