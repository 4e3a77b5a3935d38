"""The daemon's socket: where it is, and how messages go over it.

A connection carries one request, `{"command": …}`, then any number of events, then one `{"result": …}` or
`{"error": …, "stage": …}`: JSON objects, one a line. Who may connect is who may read the state anyway.
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
# Of ten thousand reports in one answer.
LONGEST_ANSWER: Final = 1 << 26
# sizeof(sun_path) less the final NUL (unix(7)).
_LONGEST_PATH: Final = 107


def socket_path(state_dir: Path) -> Path:
    """Raises SettingsError when the system has no socket with so long a path."""
    path = state_dir / "daemon.sock"
    length = len(os.fsencode(path))
    if length > _LONGEST_PATH:
        raise SettingsError(
            f"state_dir = {str(state_dir)!r} is too long: the path of the daemon's socket, {path}, would have "
            f"{length} bytes, and sockets can have {_LONGEST_PATH}; choose a folder with a shorter path"
        )
    return path


def encode(message: Message) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode() + b"\n"


async def read_message(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """None when the other side has closed. Raises DaemonError for what is no message."""
    try:
        line = await reader.readline()
    except ConnectionError:
        return None
    except ValueError:
        words = f"a line over the daemon's socket is longer than what is taken ({LONGEST_LINE} bytes of a request)"
        raise DaemonError(words) from None
    if not line.endswith(b"\n"):
        return None
    try:
        message = json.loads(line)
    except ValueError as error:
        raise DaemonError(f"a line over the daemon's socket is no JSON: {error}") from error
    if not isinstance(message, dict):
        raise DaemonError(f"a line over the daemon's socket is no JSON object: {line[:80]!r}")
    return message
