"""Calls to an engine over a few kept connections: each has one try and a limit in seconds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from redis.exceptions import NoPermissionError, NoScriptError, ReadOnlyError, ResponseError

from wellkeeper_node.records import engine_errors
from wellkeeper_node.records.engine_connection import FAULTS, Access, Command, EngineConnection, Reply, connect
from wellkeeper_node.records.engine_scripts import Script

_MOST_CONNECTIONS: Final = 8
# What a connection raises when the engine is away, or sends what cannot be read.
# Of an engine that is not the primary any more, or for a user without rights.
_USELESS: Final = (ReadOnlyError, NoPermissionError)


class EngineCalls:
    """Connects with the first call; the owner closes it. Raises UnavailableError, and nothing else of the engine's."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._idle: list[EngineConnection] = []
        self._slots = asyncio.Semaphore(_MOST_CONNECTIONS)
        self.name = f"the engine at {access.address.text}"

    def key(self, name: str) -> str:
        """Return the name in the engine of a key, directory or channel."""
        return f"{self._access.address.prefix}:{name}"

    async def close(self) -> None:
        idle, self._idle = self._idle, []
        for one in idle:
            await one.disconnect(nowait=True)

    async def ask(self, *commands: Command) -> list[Reply]:
        """Return a reply for each command, a ResponseError for one that was refused."""
        async with self.connection() as connection:
            replies = await connection.ask(*commands)
            for one in replies:
                if isinstance(one, _USELESS):
                    raise one
            return replies

    async def run(self, script: Script, keys: list[str], *values: str | bytes | int) -> str | ResponseError:
        """Run the script, by its digest if the engine knows it."""
        names = tuple(map(self.key, keys))
        async with self.connection() as connection:
            (reply,) = await connection.ask(("EVALSHA", script.digest, len(names), *names, *values))
            if isinstance(reply, NoScriptError):
                (reply,) = await connection.ask(("EVAL", script.text, len(names), *names, *values))
            if isinstance(reply, ReadOnlyError):
                raise reply
            return reply if isinstance(reply, ResponseError) else _text(reply)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[EngineConnection]:
        """Lend a connection for as long as the block takes."""
        connection: EngineConnection | None = None
        try:
            async with self._slots:
                connection = await self._usable() or await connect(self._access)
                yield connection
                self._idle.append(connection)
                connection = None
        except FAULTS as error:
            await self.close()  # the others are no better
            raise engine_errors.unavailable(self.name, error, self._access.call_seconds) from error
        finally:
            if connection is not None:
                await connection.disconnect(nowait=True)

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[EngineConnection]:
        """Open another connection, for as long as the block takes."""
        connection: EngineConnection | None = None
        try:
            connection = await connect(self._access)
            yield connection
        except FAULTS as error:
            raise engine_errors.unavailable(self.name, error, self._access.call_seconds) from error
        finally:
            if connection is not None:
                await connection.disconnect(nowait=True)

    async def _usable(self) -> EngineConnection | None:
        """Return a kept connection that has not ended."""
        while self._idle:
            found = self._idle.pop()
            if not found.has_ended:
                return found
            await found.disconnect(nowait=True)
        return None


def _text(reply: Reply) -> str:
    if not isinstance(reply, bytes):
        raise ValueError(f"unexpected reply {reply!r:.60}")
    return reply.decode("utf-8", "replace")
