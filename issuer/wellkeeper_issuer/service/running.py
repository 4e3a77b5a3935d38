"""A running worker of the service, and the change to new settings that replaces it."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from wellkeeper_issuer.settings import Settings
from wellkeeper_node.errors import WellkeeperError


@dataclass(frozen=True, slots=True)
class Change:
    """New settings that need a new worker; `done` ends with the result."""

    settings: Settings
    done: asyncio.Future[None]

    def succeed(self) -> None:
        if not self.done.done():  # the client may be gone
            self.done.set_result(None)

    def fail(self, error: WellkeeperError) -> None:
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(slots=True)
class Running:
    """The task of a running worker, and its resources."""

    task: asyncio.Task[None]
    stack: AsyncExitStack

    async def end(self) -> None:
        """End the worker; returns when everything was withdrawn."""
        self.task.cancel()
        await asyncio.wait([self.task])
        await self.stack.aclose()
