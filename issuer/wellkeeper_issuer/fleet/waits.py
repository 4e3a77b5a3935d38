"""Wait for the relay: until something happens, and longer with each try."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from wellkeeper_node.ports import Clock

_FIRST_SECONDS: Final = 0.2
_LONGEST_SECONDS: Final = 5.0


async def until(clock: Clock, seconds: float, *events: asyncio.Event) -> bool:
    """Wait until one of the events is set, but not longer; return whether one was, even if it no longer is."""
    waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(event.wait()) for event in events]
    waits.append(asyncio.ensure_future(clock.sleep(seconds)))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return any(one.done() for one in waits[:-1])
    finally:
        for one in waits:
            one.cancel()


def pauses() -> Iterator[float]:
    """Yield the times to wait before each try."""
    seconds = _FIRST_SECONDS
    while True:
        yield seconds
        seconds = min(seconds * 2, _LONGEST_SECONDS)
