"""The side of the daemon's socket that asks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from wellkeeper_issuer.errors import DaemonError, SettingsError
from wellkeeper_issuer.outside.daemon.socket import LONGEST_ANSWER, Message, encode, read_message
from wellkeeper_node.errors import Retry


class Conversation:
    """One request to a daemon that is there."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, request: Message, on_progress: Callable[[Message], None]) -> Any:  # noqa: ANN401 - what the command answers
        """Returns the result, after all events of it were told.

        Raises SettingsError or DaemonError with what the daemon complains of, or when it ends before it has answered.
        """
        self._writer.write(encode(request))
        while (message := await read_message(self._reader)) is not None:
            if "result" in message:
                return message["result"]
            if "error" in message:
                raise _complaint(message)
            on_progress(message)
        raise DaemonError("the daemon ended before it had answered; its log says why")


def _complaint(message: Message) -> SettingsError | DaemonError:
    text, stage = str(message["error"]), message.get("stage")
    if stage == SettingsError.stage:
        return SettingsError(text)
    retry = message.get("retry")
    known = {one.value: one for one in Retry}
    return DaemonError(
        text if stage in {None, DaemonError.stage} else f"{stage}: {text}", retry=known.get(str(retry), Retry.SOON)
    )


@asynccontextmanager
async def conversation(path: Path) -> AsyncIterator[Conversation | None]:
    """None when no daemon is there. Raises DaemonError when it cannot be found out."""
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=LONGEST_ANSWER)
    except (FileNotFoundError, ConnectionRefusedError):
        yield None
        return
    except OSError as error:
        raise DaemonError(
            f"cannot reach the daemon at {path}: {error.strerror}; run as root or as the issuer's user"
        ) from error
    try:
        yield Conversation(reader, writer)
    finally:
        writer.close()
