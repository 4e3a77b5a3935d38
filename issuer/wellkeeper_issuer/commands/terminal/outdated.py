"""Report that the settings files or the installed program have changed since the daemon loaded them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from wellkeeper_issuer.location import settings_path
from wellkeeper_node.errors import WellkeeperError

if TYPE_CHECKING:
    from wellkeeper_issuer.settings import Settings

OUTDATED: Final = "Settings changed since the daemon loaded them. Run 'wellkeeper reload'."
# The daemon answers from memory; a busy one must not hold up a look.
_SECONDS: Final = 2.0


async def is_outdated(settings: "Settings", config: Path | None) -> bool:
    """Return true if the files differ from those that the daemon read; false when no daemon runs."""
    from wellkeeper_issuer.settings.files import read_sources

    answer = await ask_daemon(settings)
    if answer is None or "settings_digest" not in answer:
        return False
    try:
        return bool(answer["settings_digest"] != read_sources(settings_path(config)).digest)
    except WellkeeperError:
        return False


def is_restart_needed(answer: Mapping[str, Any] | None) -> bool:
    """Return true if the daemon with this status runs another version than the installed one; false without one."""
    from wellkeeper_issuer.outside.host.installed import fingerprint

    return answer is not None and answer.get("build") != fingerprint()


async def ask_daemon(settings: "Settings", command: str = "status") -> dict[str, Any] | None:
    """Return the daemon's status, or its answer to another command; None when no daemon answers."""
    import asyncio

    from wellkeeper_issuer.service import remote

    try:
        async with asyncio.timeout(_SECONDS):
            return await remote.ask(settings, {"command": command})
    except (WellkeeperError, TimeoutError):
        return None


def warn_if_outdated(settings: "Settings", config: Path | None) -> bool:
    """Print one line on standard error when a reload is needed; return whether it is."""
    import asyncio

    found = asyncio.run(is_outdated(settings, config))
    if found:
        warn()
    return found


def warn() -> None:
    """Print one line on standard error."""
    click.echo(OUTDATED, err=True)
