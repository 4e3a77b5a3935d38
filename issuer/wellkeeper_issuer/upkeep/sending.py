"""Send what waits in the outbox: each target on its own, so that a slow one delays no other.

    waiting ──sent──▶ sent (kept for an hour, see the outbox)
       │ ▲
       │ └─ not accepted: again after 30 s, 1 min, … 15 min; a message that the target refuses delays no other
       └─ three days old: forgotten, with a line in the log

A repeat has the id of the first try, and happens only when its answer was lost or refused.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from wellkeeper_issuer.errors import HookError, RefusedError
from wellkeeper_issuer.messages import Message
from wellkeeper_issuer.ports.people import Outbox, Target
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

_EXPIRE: Final = timedelta(days=3)
_FIRST_PAUSE_SECONDS: Final = 30.0
_LONGEST_PAUSE_SECONDS: Final = 900.0
# Targets of new settings are noticed then at the latest.
_LOOK_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Progress:
    """A target in this process: whether it is being sent to, and when next."""

    is_busy: bool = False
    has_more: bool = False
    failures: int = 0
    next_at: float = 0.0
    # Ids of messages that it accepted, which could not be recorded.
    accepted: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Sending:
    """`targets` returns those of the present settings."""

    outbox: Outbox
    targets: Callable[[], Sequence[Target]]
    clock: Clock
    _progress: dict[str, _Progress] = field(default_factory=dict)

    async def run(self) -> None:
        """Send until cancelled; whatever fails is logged, and tried again."""
        async with asyncio.TaskGroup() as group:
            while True:
                self.outbox.changed.clear()
                for target, state in self._ready():
                    state.is_busy, state.has_more = True, False
                    group.create_task(self._try(target, state))
                await self._until_needed()

    async def flush(self) -> None:
        """Try once to send to each target."""
        await asyncio.gather(*(self._try(one, _Progress()) for one in self.targets()))

    def _ready(self) -> Iterator[tuple[Target, _Progress]]:
        now = self.clock.monotonic()
        for target in self.targets():
            state = self._progress.setdefault(target.name, _Progress())
            state.has_more = state.is_busy
            if not state.is_busy and state.next_at <= now:
                yield target, state

    async def _until_needed(self) -> None:
        now = self.clock.monotonic()
        later = [one.next_at - now for one in self._progress.values() if one.next_at > now]
        waits = [
            asyncio.ensure_future(self.outbox.changed.wait()),
            asyncio.ensure_future(self.clock.sleep(min([*later, _LOOK_SECONDS]))),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    async def _try(self, target: Target, state: _Progress) -> None:
        try:
            is_sent = await self._send_waiting(target, state.accepted)
        except Exception as error:  # noqa: BLE001 - one target must not end the others
            _log.error(
                "notifications to %s: %s", target.name, error if isinstance(error, WellkeeperError) else repr(error)
            )
            is_sent = False
        state.is_busy = False
        state.failures = 0 if is_sent else state.failures + 1
        state.next_at = 0.0 if is_sent else self.clock.monotonic() + _pause_after(state.failures)
        if state.has_more or not is_sent:
            # `run` plans the next try.
            self.outbox.changed.set()

    async def _send_waiting(self, target: Target, accepted: set[str]) -> bool:
        """Send everything that waits, and return whether the target accepted all of it."""
        refused = set[str]()
        while waiting := [one for one in await self.outbox.read_waiting(target.name) if one.id not in refused]:
            for message in waiting:
                if message.id not in accepted and await self._is_expired(target, message):
                    continue
                try:
                    if message.id not in accepted:
                        await target.send(message)
                except HookError as error:
                    _log.error("%s It is sent again later.", error)
                    await self.outbox.record_trouble(target.name, str(error), self.clock.now())
                    if not isinstance(error, RefusedError):
                        return False
                    refused.add(message.id)
                else:
                    accepted.add(message.id)
                    await self.outbox.record_sent(target.name, message.id)
                    accepted.discard(message.id)
        return not refused

    async def _is_expired(self, target: Target, message: Message) -> bool:
        if self.clock.now() - message.at < _EXPIRE:
            return False
        _log.error("notifications: %s never accepted %s: %s", target.name, message.name, message.detail)
        await self.outbox.forget(target.name, message.id)
        return True


def _pause_after(failures: int) -> float:
    doublings = min(failures - 1, 10)
    return min(_FIRST_PAUSE_SECONDS * 2.0**doublings, _LONGEST_PAUSE_SECONDS)
