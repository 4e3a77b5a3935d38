"""One CA's server: its session, and its directory, which is read once per day for all who need it."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from wellkeeper_issuer.outside.ca.json_replies import ReplyError
from wellkeeper_issuer.outside.ca.problems import ProblemError, read_problem
from wellkeeper_issuer.outside.ca.session import CaSession
from wellkeeper_node.ports import Clock

# A daemon runs for months, and CAs change what they offer.
_DIRECTORY_SECONDS: Final = 86_400.0
_MEMBERS: Final = ("newNonce", "newAccount", "newOrder")


class CaServer:
    """Owns the session: close it with `close`."""

    def __init__(self, directory_url: str, session: CaSession, clock: Clock) -> None:
        self.directory_url = directory_url
        self.session = session
        self._clock = clock
        self._reading = asyncio.Lock()
        self._directory: Mapping[str, Any] = {}
        self._read_again_at = 0.0

    async def close(self) -> None:
        await self.session.close()

    async def directory(self) -> Mapping[str, Any]:
        """Return the directory's members (RFC 8555 section 7.1.1). Raises ProblemError, and what the session raises."""
        async with self._reading:
            now = self._clock.monotonic()
            if not self._directory or now >= self._read_again_at:
                self._directory = await self._read()
                self._read_again_at = now + _DIRECTORY_SECONDS
            return self._directory

    async def _read(self) -> Mapping[str, Any]:
        reply = await self.session.get(self.directory_url)
        if reply.is_error:
            raise ProblemError(read_problem(reply, self._clock.now()))
        members = reply.json()
        for name in _MEMBERS:
            if not isinstance(members.get(name), str):
                raise ReplyError(f"directory member {name!r} must be a URL")
        return members
