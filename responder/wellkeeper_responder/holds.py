"""Hold requests for unknown tokens for a moment, because some ACME clients ask the CA before they publish.

    asked ─▶ held ─▶ published in time: answered
                 └─▶ not: 404, as without a hold

At most MAX_HELD requests wait at a time; all others get their 404 at once, so that a flood of invented tokens costs
nothing more. A held request sends nothing and keeps one connection, which has its own limit.
"""

import asyncio
from collections import Counter
from typing import Final

MAX_HELD: Final = 64
MAX_SECONDS: Final = 1.0


class Holds:
    """The requests that wait for a publication, at most `seconds` each; 0 holds none. `ended` counts them by result."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self.count = 0
        self.ended: Counter[str] = Counter()

    async def wait(self, token: str) -> None:
        """Return when the token is published, when the time is over, or at once if too many wait already."""
        if self._seconds <= 0:
            return
        if self.count >= MAX_HELD:
            self.ended["full"] += 1
            return
        published = asyncio.Event()
        self._waiting.setdefault(token, set()).add(published)
        self.count += 1
        result = "left"
        try:
            async with asyncio.timeout(self._seconds):
                await published.wait()
            result = "published"
        except TimeoutError:
            result = "unknown"
        finally:
            self.ended[result] += 1
            self.count -= 1
            self._leave(token, published)

    def end(self, token: str) -> None:
        """Answer those who wait for this token."""
        for published in self._waiting.get(token, ()):
            published.set()

    def close(self) -> None:
        """Answer everyone; later requests do not wait."""
        self._seconds = 0
        for token in self._waiting:
            self.end(token)

    def _leave(self, token: str, published: asyncio.Event) -> None:
        waiting = self._waiting[token]
        waiting.discard(published)
        if not waiting:
            del self._waiting[token]
