"""Send requests to a running daemon over its socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from wellkeeper_client import permissions
from wellkeeper_issuer.errors import DaemonError
from wellkeeper_issuer.outside.daemon.socket import (
    LONGEST_ANSWER,
    Message,
    encode,
    ended_early,
    is_last,
    read_message,
    result_of,
    unreachable,
)


class Conversation:
    """A connection to a running daemon, for one request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, request: Message, on_progress: Callable[[Message], None]) -> Any:  # noqa: ANN401 - what the command answers
        """Send the request, report its events to `on_progress`, and return the result.

        Raises the daemon's SettingsError or DaemonError, and DaemonError when the daemon ends before it answers.
        """
        self._writer.write(encode(request))
        while (message := await read_message(self._reader)) is not None:
            if is_last(message):
                return result_of(message)
            on_progress(message)
        raise ended_early()


@asynccontextmanager
async def conversation(path: Path) -> AsyncIterator[Conversation | None]:
    """Connect to the daemon; None when no daemon is running. Raises DaemonError when that cannot be determined.

    Also raises DaemonError when other users could put another socket there.
    """
    if fault := permissions.find_socket_fault(path):
        raise DaemonError(f"cannot trust the daemon at {path}", fault.why, fault.remedy)
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST_ANSWER)
    except (FileNotFoundError, ConnectionRefusedError):
        yield None
        return
    except OSError as error:
        raise unreachable(path, error) from error
    try:
        yield Conversation(reader, writer)
    finally:
        writer.close()
