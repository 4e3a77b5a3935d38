"""Enable and start units with systemctl(1)."""

from pathlib import Path
from typing import Final

from wellkeeper_client.foreign_text import one_line
from wellkeeper_node import process

RESPONDER: Final = "wellkeeper-responder.service"
DAEMON: Final = "wellkeeper.service"
_BOOTED: Final = Path("/run/systemd/system")
# The daemon answers ready after it has read its settings; an overloaded machine may take a minute.
_SECONDS: Final = 120.0
_WORDS: Final = 300


def is_booted() -> bool:
    """Return whether systemd manages this host (sd_booted(3))."""
    return _BOOTED.is_dir()


async def enable(unit: str) -> str:
    """Enable and start the unit; return why that failed, or "". Idempotent."""
    try:
        finished = await process.run(["systemctl", "enable", "--now", unit], _SECONDS)
    except process.ProcessError as error:
        return str(error)
    return "" if finished.exit_code == 0 else one_line(finished.output, _WORDS) or f"exit {finished.exit_code}"
