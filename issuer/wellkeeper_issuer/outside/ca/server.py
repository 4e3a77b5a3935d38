"""One CA's server: its session, and its directory, which is read once per day for all who need it."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from wellkeeper_issuer.outside.ca.dates import ahead_seconds
from wellkeeper_issuer.outside.ca.json_replies import ReplyError
from wellkeeper_issuer.outside.ca.problems import ProblemError, read_problem
from wellkeeper_issuer.outside.ca.session import CaSession
from wellkeeper_node.ports import Clock

# A daemon runs for months, and CAs change what they offer.
_DIRECTORY_SECONDS: Final = 86_400.0
_MEMBERS: Final = ("newNonce", "newAccount", "newOrder")


class CaServer:
    """Owns the session: close it with `close`.

    `ahead_seconds` is how far the CA's clock was ahead when the directory was read; None if unknown.
    """

    def __init__(self, directory_url: str, session: CaSession, clock: Clock) -> None:
        self.directory_url = directory_url
        self.session = session
        self._clock = clock
        self._reading = asyncio.Lock()
        self._directory: Mapping[str, Any] = {}
        self._read_again_at = 0.0
        self._begun: asyncio.Task[Mapping[str, Any]] | None = None
        self.ahead_seconds: float | None = None

    async def close(self) -> None:
        if self._begun is not None:
            self._begun.cancel()
            await asyncio.gather(self._begun, return_exceptions=True)
        await self.session.close()

    def begin(self) -> None:
        """Start to read the directory for the next `directory()`, which raises what this raised."""
        if self._begun is None and not self._directory:
            self._begun = asyncio.create_task(self._read())

    async def directory(self) -> Mapping[str, Any]:
        """Return the directory's members (RFC 8555 section 7.1.1). Raises ProblemError, and what the session raises."""
        async with self._reading:
            now = self._clock.monotonic()
            if not self._directory or now >= self._read_again_at:
                begun, self._begun = self._begun, None
                self._directory = await (begun or self._read())
                self._read_again_at = now + _DIRECTORY_SECONDS
            return self._directory

    async def _read(self) -> Mapping[str, Any]:
        reply = await self.session.get(self.directory_url)
        self.ahead_seconds = ahead_seconds(reply.headers, self._clock.now())
        if reply.is_error:
            raise ProblemError(read_problem(reply, self._clock.now()))
        members = reply.json()
        for name in _MEMBERS:
            if not isinstance(members.get(name), str):
                raise ReplyError(f"directory member {name!r} must be a URL")
        return members
