"""Report that the settings files have changed since the daemon loaded them."""

import asyncio
from pathlib import Path
from typing import Final

import click

from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings, settings_path
from wellkeeper_issuer.settings.files import read_sources
from wellkeeper_node.errors import WellkeeperError

OUTDATED: Final = "Settings changed since the daemon loaded them. Run 'wellkeeper reload'."
# The daemon answers from memory; a busy one must not hold up a look.
_SECONDS: Final = 2.0


async def is_outdated(settings: Settings, config: Path | None) -> bool:
    """Return true if the files differ from those that the daemon read; false when no daemon runs."""
    try:
        async with asyncio.timeout(_SECONDS):
            answer = await remote.ask(settings, {"command": "status"})
        if answer is None or "settings_digest" not in answer:
            return False
        return bool(answer["settings_digest"] != read_sources(settings_path(config)).digest)
    except (WellkeeperError, TimeoutError):
        return False


def warn_if_outdated(settings: Settings, config: Path | None) -> bool:
    """Print one line on standard error when a reload is needed; return whether it is."""
    found = asyncio.run(is_outdated(settings, config))
    if found:
        click.echo(OUTDATED, err=True)
    return found
