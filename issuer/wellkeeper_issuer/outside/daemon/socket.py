"""Define the path of the daemon's socket and encode its messages.

A connection carries one request, `{"command": …}`, then any number of events, then one `{"result": …}` or `{"error": …,
"why": …, "remedy": …, "stage": …}`: one JSON object per line. Only users who can read the state can connect.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from wellkeeper_issuer.errors import DaemonError, SettingsError

Message = Mapping[str, Any]

LONGEST_LINE: Final = 1 << 20
# Room for ten thousand reports in one answer.
LONGEST_ANSWER: Final = 1 << 26
# sizeof(sun_path) minus the final NUL (unix(7)).
_LONGEST_PATH: Final = 107


def socket_path(state_dir: Path) -> Path:
    """Return the path of the socket. Raises SettingsError when it is too long for a socket."""
    path = state_dir / "daemon.sock"
    length = len(os.fsencode(path))
    if length > _LONGEST_PATH:
        raise SettingsError(
            f"state_dir = {str(state_dir)!r} is too long",
            f"the path of the daemon's socket in it would have {length} bytes, the maximum is {_LONGEST_PATH}",
            "Choose a shorter path.",
        )
    return path


def encode(message: Message) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode() + b"\n"


async def read_message(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """Return the next message; None when the peer closed. Raises DaemonError for a line that is not a message."""
    try:
        line = await reader.readline()
    except ConnectionError:
        return None
    except ValueError:
        raise DaemonError(
            f"a message on the daemon's socket is too long (a request has {LONGEST_LINE} bytes at most)"
        ) from None
    if not line.endswith(b"\n"):
        return None
    try:
        message = json.loads(line)
    except ValueError as error:
        raise DaemonError("a message on the daemon's socket is not JSON", str(error)) from error
    if not isinstance(message, dict):
        raise DaemonError(f"a message on the daemon's socket is not a JSON object: {line[:80]!r}")
    return message
