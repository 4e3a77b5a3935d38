"""Define the path of the daemon's socket and encode its messages.

A connection carries one request, `{"command": …}`, then any number of events, then one `{"result": …}` or `{"error": …,
"why": …, "remedy": …, "stage": …}`: one JSON object per line. Only users who can read the state can connect.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from wellkeeper_client import services
from wellkeeper_issuer.errors import DaemonError, SettingsError
from wellkeeper_node.errors import Retry

if TYPE_CHECKING:
    import asyncio

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


async def read_message(reader: "asyncio.StreamReader") -> dict[str, Any] | None:
    """Return the next message; None when the peer closed. Raises DaemonError for a line that is not a message."""
    try:
        line = await reader.readline()
    except ConnectionError:
        return None
    except ValueError:
        raise DaemonError(
            f"a message on the daemon's socket is too long (a request has {LONGEST_LINE} bytes at most)"
        ) from None
    return decode(line)


def decode(line: bytes) -> dict[str, Any] | None:
    """Return the message; None when the line is incomplete. Raises DaemonError when it is not a message."""
    if not line.endswith(b"\n"):
        return None
    try:
        message = json.loads(line)
    except ValueError as error:
        raise DaemonError("a message on the daemon's socket is not JSON", str(error)) from error
    if not isinstance(message, dict):
        raise DaemonError(f"a message on the daemon's socket is not a JSON object: {line[:80]!r}")
    return message


def is_last(message: Message) -> bool:
    """Return whether the message ends the conversation; the others are events."""
    return "result" in message or "error" in message


def result_of(message: Message) -> Any:  # noqa: ANN401 - what the command answers
    """Return the result in the last message. Raises the SettingsError or DaemonError that it reports instead."""
    if "error" in message:
        lines = [str(message.get(key, "")) for key in ("error", "why", "remedy")]
        if message.get("stage") == SettingsError.stage:
            raise SettingsError(*lines)
        known = {retry.value: retry for retry in Retry}
        raise DaemonError(*lines, retry=known.get(str(message.get("retry")), Retry.SOON))
    return message["result"]


def ended_early() -> DaemonError:
    """Return the error for a daemon that closed the connection without a result."""
    return DaemonError("the daemon ended before it answered", remedy=f"Read {services.log('wellkeeper')} to see why.")


def unreachable(path: Path, error: OSError) -> DaemonError:
    """Return the error for a daemon that runs, but cannot be connected to."""
    return DaemonError(
        f"cannot reach the daemon at {path}",
        error.strerror or str(error),
        "Run the command with sudo, or as the issuer's user.",
    )
