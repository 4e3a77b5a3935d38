"""Wait for events with time limits, and pause longer and longer between tries."""

import asyncio
from collections.abc import Callable, Iterator


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set; return False after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def pauses(first_seconds: float, longest_seconds: float, choose: Callable[[], float] = lambda: 0.0) -> Iterator[float]:
    """Yield the seconds to wait after each failure in a row, doubled up to the longest.

    `choose` returns a number from 0 to 1 that takes up to half of each pause away, so that many machines do not try
    again at the same moment.
    """
    seconds = first_seconds
    while True:
        yield seconds * (1 - choose() / 2)
        seconds = min(seconds * 2, longest_seconds)
