"""Checks of processes that a test started."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

_MORE_ATTEMPTS: Final = 5
_LIMITS_SECONDS: Final = (0.4, 4.0, 40.0)
_T = TypeVar("_T")


def is_running(pid: int) -> bool:
    """Return False also for a zombie: in a container, process 1 may never reap it."""
    try:
        os.kill(pid, 0)
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


async def quickest(attempt: Callable[[], Awaitable[float]], below: float) -> float:
    """Return the least seconds of some attempts, of which an idle machine needs one.

    Some are made before a duration counts as too long, since a busy machine may delay anything.
    """
    seconds = await attempt()
    for _ in range(_MORE_ATTEMPTS):
        if seconds < below:
            break
        seconds = min(seconds, await attempt())
    return seconds


async def with_more_time(attempt: Callable[[float], Awaitable[_T]]) -> _T:
    """Return the first true result of attempts with longer and longer limits in seconds, or the last one.

    For what must happen before the limit: on a busy machine, a program may even start late.
    """
    for seconds in _LIMITS_SECONDS:
        if found := await attempt(seconds):
            break
    return found
