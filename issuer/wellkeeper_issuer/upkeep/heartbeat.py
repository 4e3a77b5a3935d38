"""Call a URL after each check that found everything in order: a service that waits for it notices a dead daemon."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from wellkeeper_issuer.errors import HookError
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

# The first check comes a minute after the start, which may be busy.
_FIRST_SECONDS: Final = 60.0


class Pulse(Protocol):
    """The heartbeat of the present settings."""

    @property
    def every_seconds(self) -> float: ...

    async def call(self) -> None:
        """Call the URL once. Raises HookError."""
        ...


@dataclass(slots=True)
class Heartbeat:
    """`pulse` returns None without a URL; `is_well` checks as `status --check` does."""

    pulse: Callable[[], Pulse | None]
    is_well: Callable[[], Awaitable[bool]]
    clock: Clock
    called_at: datetime | None = None
    failing_since: datetime | None = None
    error: str = ""

    async def run(self) -> None:
        """Check and call until cancelled; whatever fails is logged, and never ends it."""
        seconds = _FIRST_SECONDS
        while True:
            await self.clock.sleep(seconds)
            pulse = self.pulse()
            seconds = _FIRST_SECONDS if pulse is None else pulse.every_seconds
            try:
                if pulse is not None and await self.is_well():
                    await self._call(pulse)
            except Exception as error:  # noqa: BLE001 - a background task
                _log.error("heartbeat: %s", error if isinstance(error, WellkeeperError) else repr(error))

    def to_json(self) -> Mapping[str, Any] | None:
        """Return when the URL was called, and what fails; None without a URL."""
        if self.pulse() is None:
            return None
        return {
            "called_at": _to_text(self.called_at),
            "failing_since": _to_text(self.failing_since),
            "error": self.error or None,
        }

    async def _call(self, pulse: Pulse) -> None:
        try:
            await pulse.call()
        except HookError as error:
            self.failing_since, self.error = self.failing_since or self.clock.now(), str(error)
            raise
        self.called_at, self.failing_since, self.error = self.clock.now(), None, ""


def _to_text(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
