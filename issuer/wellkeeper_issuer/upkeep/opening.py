"""Work that a pass does once, before its first certificate is obtained."""

import asyncio
from collections.abc import Awaitable, Callable


class Opening:
    """Await it for each certificate; its failure fails all of them."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work
        self._task: asyncio.Future[None] | None = None

    async def __call__(self) -> None:
        if self._task is None:
            self._task = asyncio.ensure_future(self._work())
        await asyncio.shield(self._task)

    @property
    def was_needed(self) -> bool:
        return self._task is not None
