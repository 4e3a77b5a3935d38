"""SIGTERM ends a command as Ctrl-C does: in order, with another exit status. Loads no asyncio by itself."""

import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Never, TypeVar

Result = TypeVar("Result")


class Terminated(BaseException):
    """SIGTERM ended the command."""


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run the coroutine as `asyncio.run` does; SIGTERM cancels it. Raises Terminated then, even if it had ended."""
    import asyncio

    is_terminated, before = False, signal.getsignal(signal.SIGTERM)

    async def cancellable() -> Result:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()

        def end(*_: object) -> None:
            nonlocal is_terminated
            is_terminated = True
            if task is not None:
                task.cancel()

        # From now on, each signal wakes the loop, also one that another thread gets. This one stays unused.
        loop.add_signal_handler(signal.SIGURG, int)
        signal.signal(signal.SIGTERM, end)
        return await work

    try:
        result = asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise Terminated from None
    finally:
        signal.signal(signal.SIGTERM, before)
    if is_terminated:
        raise Terminated
    return result


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
