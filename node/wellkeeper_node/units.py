"""Start and stop units with systemctl(1), also for the next boot."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from wellkeeper_client import services
from wellkeeper_client.foreign_text import one_line
from wellkeeper_node import process

RESPONDER: Final = "wellkeeper-responder.service"
DAEMON: Final = "wellkeeper.service"
RELAY: Final = "wellkeeper-relay.service"
NODE: Final = "wellkeeper-node.service"
# The daemon answers ready after it has read its settings; an overloaded machine may take a minute.
_SECONDS: Final = 120.0
_WORDS: Final = 300
NOT_INSTALLED: Final = "it is not installed"


def start_all(
    names: Sequence[str], config: Path, default: Path, restarted: Sequence[str] = (), *, has_systemd: bool | None = None
) -> dict[str, str]:
    """Enable and start the units, which read `default`; return why each did not start, "" if it did.

    Those in `restarted` begin again if they run. `has_systemd` is by default what this host has.
    """
    if not (services.is_booted() if has_systemd is None else has_systemd):
        return dict.fromkeys(names, "systemd does not run here; start it with your service manager")
    if config != default:
        return dict.fromkeys(names, f"it reads {default}; start it with --config {config}")
    return {name: asyncio.run(start(name, is_restarted=name in restarted)) for name in names}


def to_lines(started: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each unit."""
    for name, why in started.items():
        yield f"note   {name} was not started: {why}" if why else f"started {name}"


def stop(name: str, config: Path, default: Path, *, has_systemd: bool | None = None) -> str:
    """Stop and disable the unit, which reads `default`; return a line about it, "" if there is nothing to stop."""
    if not (services.is_booted() if has_systemd is None else has_systemd) or config != default:
        return ""
    why = asyncio.run(_call("disable", "--now", name))
    if why == NOT_INSTALLED:
        return ""
    return f"note  {name} was not stopped: {why}" if why else f"stopped {name}"


async def start(unit: str, *, is_restarted: bool = False) -> str:
    """Enable and start the unit; return why that failed, or "". Idempotent."""
    commands = (("enable", unit), ("restart", unit)) if is_restarted else (("enable", "--now", unit),)
    for arguments in commands:
        if why := await _call(*arguments):
            return why
    return ""


async def _call(*arguments: str) -> str:
    try:
        finished = await process.run(["systemctl", *arguments], _SECONDS)
    except process.ProcessError as error:
        return str(error)
    if finished.exit_code == 0:
        return ""
    words = one_line(finished.output, _WORDS)
    # "Failed to enable unit: Unit file … does not exist."
    return NOT_INSTALLED if "does not exist" in words else words or f"exit {finished.exit_code}"
