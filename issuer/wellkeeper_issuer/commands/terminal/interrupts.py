"""SIGTERM ends a command as Ctrl-C does: in order, with another exit status. Loads no asyncio by itself."""

import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Never, TypeVar

Result = TypeVar("Result")


class Terminated(BaseException):
    """SIGTERM ended the command."""


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run the coroutine as `asyncio.run` does; SIGTERM cancels it. Raises Terminated then."""
    import asyncio

    async def cancellable() -> Result:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise Terminated from None


@contextmanager
def terminable() -> Iterator[None]:
    """Raise Terminated inside when SIGTERM arrives: for work that waits without an event loop."""

    def end(*_: object) -> Never:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
