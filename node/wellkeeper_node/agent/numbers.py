"""Number this node's reports: each number is higher than those before, also after a crash or a clock change."""

import asyncio
import logging
from pathlib import Path
from typing import Final

from wellkeeper_client.records import MAX_NUMBER
from wellkeeper_node import durable
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

_FILE: Final = "report_number"
_MODE: Final = 0o600
# Reserved on disk at once, so that not every report waits for the disk: ten minutes of them.
_RESERVED: Final = 600_000


class ReportNumbers:
    """Milliseconds of UNIX time, or the last number plus one while that is higher; seldom waits for the disk.

    A node that lost its state, or whose disk is full, continues above its former numbers while its clock is right.
    """

    def __init__(self, state_dir: Path, clock: Clock) -> None:
        self._path = state_dir / _FILE
        self._clock = clock
        self._last: int | None = None
        self._reserved = 0
        self._lock = asyncio.Lock()

    async def next(self) -> int:
        async with self._lock:
            if self._last is None:
                self._last = self._reserved = await asyncio.to_thread(self._read)
            number = max(self._last + 1, int(self._clock.now().timestamp() * 1000))
            if number > self._reserved:
                await durable.to_its_end(lambda: self._reserve(number + _RESERVED))
            self._last = number
            return number

    def _reserve(self, number: int) -> None:
        """Keep it durably if possible: a report that says that the disk is full must not wait for space."""
        try:
            durable.replace_whole(self._path, f"{number}\n".encode(), _MODE)
        except OSError as error:
            _log.warning("cannot write %s: %s", self._path, error.strerror)
        else:
            self._reserved = number

    def _read(self) -> int:
        try:
            number = int(self._path.read_bytes())
        except (OSError, ValueError):
            return 0
        return number if number <= MAX_NUMBER else 0  # damaged: no report could have such a number
