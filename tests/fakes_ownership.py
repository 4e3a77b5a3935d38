"""Ownership of the state, in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from wellkeeper_issuer.errors import JournalError


class FakeHeld:
    """Implements `ports.state.Held`; `why` is set once it was lost, which `extend` detects."""

    def __init__(self) -> None:
        self.why = ""
        self.lost = asyncio.Event()
        self.extended = 0

    async def extend(self, until: datetime | None = None) -> None:  # noqa: ARG002 - of the Protocol
        self.extended += 1
        if self.why:
            self.lost.set()
            raise JournalError(f"no longer owns the state: {self.why}")


class FakeOwnership:
    """Implements `ports.state.Ownership`; `held` is the current holder's."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.command = ""
        self.held = FakeHeld()

    @asynccontextmanager
    async def hold(self, command: str) -> AsyncIterator[FakeHeld]:
        if self.command:
            raise JournalError(f"wellkeeper {self.command} (pid {self.pid}) owns the state")
        self.command, self.held = command, FakeHeld()
        try:
            yield self.held
        finally:
            self.command = ""
