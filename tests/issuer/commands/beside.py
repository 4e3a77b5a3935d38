"""Something asynchronous in a thread of its own, beside commands that have the main thread, as SIGTERM needs it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from threading import Event, Thread
from typing import Any


@contextmanager
def running_beside(make: Callable[[], AbstractAsyncContextManager[Any]]) -> Iterator[None]:
    """Keep what `make` returns open."""
    loop, is_ready, is_over = asyncio.new_event_loop(), Event(), asyncio.Event()

    async def serve() -> None:
        async with make():
            is_ready.set()
            await is_over.wait()

    thread = Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert is_ready.wait(30)
        yield
    finally:
        loop.call_soon_threadsafe(is_over.set)
        thread.join()
        loop.close()
