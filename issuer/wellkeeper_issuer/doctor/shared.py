"""Work that several checks need and that is done once, when the first one needs it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Shared(Generic[Value]):
    """The result of `work`. A check that gives up does not take it from the others; `close` ends it."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, Value]]) -> None:
        self._work = work
        self._task: asyncio.Task[Value] | None = None

    async def get(self) -> Value:
        """Return the result. Raises what `work` raises, each time."""
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await asyncio.shield(self._task)

    async def close(self) -> None:
        """Cancel the work if it is still under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
