"""Ask the daemon for its status."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from wellkeeper_issuer.service import remote
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.errors import WellkeeperError

# The daemon answers from memory.
_ANSWER_SECONDS: Final = 2.0


async def ask_daemon(settings: Settings) -> Mapping[str, Any] | None:
    """Return its status; None if no daemon answers."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await remote.ask(settings, {"command": "status"})
    except (WellkeeperError, TimeoutError):
        return None
