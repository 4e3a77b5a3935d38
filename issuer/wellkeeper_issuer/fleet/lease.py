"""The lease of the issuer that feeds an engine: of several issuers, one writes, and the others wait.

    waiting ── acquired ──▶ held ── it ended meanwhile, and another issuer has it ──▶ waiting

The lease saves work. Safety rests on signatures and the manifest: a failover may lose an engine's lease.
"""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_issuer.fleet.feeds import ENGINE_KINDS
from wellkeeper_issuer.fleet.waits import until
from wellkeeper_node.errors import LeaseLostError, RecordsError
from wellkeeper_node.ports import Clock
from wellkeeper_node.records.port import Engine, Update

_log = logging.getLogger(__name__)

SECONDS: Final = 60
_EXTEND_SECONDS: Final = 15.0
_TRY_SECONDS: Final = 2.0
_OTHER: Final = "another issuer feeds it"
_REMEDY: Final = "Stop the other issuer; this one takes over within a minute, or within five if it is the older one."


def shown(holder: str) -> str:
    """Return a holder for people: host and process, without its state directory."""
    return holder.rpartition(" ")[0] or holder


class LeasedRecords:
    """Implements `records.port.Engine`: writes the kinds that an engine gets, only while the lease is held.

    `holder` names this process among issuers. `run` works until cancelled, and then gives the lease up. Before a
    write elsewhere comes `check`.
    """

    def __init__(self, engine: Engine, holder: str, clock: Clock) -> None:
        self._engine = engine
        self._holder = holder
        self._clock = clock
        self._lease: str | None = None
        self._was_lost = False
        self._is_older: Callable[[], bool] = lambda: False
        self._taken_at = self._asked_at = -math.inf
        self._asked_on = clock.now()
        self._steps = asyncio.Lock()
        self._known, self._free, self._wakeup = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._free.set()

    @property
    def is_taken(self) -> bool:
        """True once another issuer has the lease, as the engine said, or should have it, as it is newer."""
        return not self._free.is_set()

    @property
    def is_held(self) -> bool:
        """True while this issuer has the lease, as far as it knows."""
        return self._lease is not None

    def give_way_while(self, is_older: Callable[[], bool]) -> None:
        """Leave the lease to a newer issuer while this returns True, also when it is free: that one may start again."""
        self._is_older = is_older

    async def run(self) -> None:
        """Acquire the lease and extend it."""
        try:
            while True:
                async with self._steps:
                    await self._ask()
                self._known.set()
                self._wakeup.clear()
                await until(self._clock, _TRY_SECONDS if self._lease is None else _EXTEND_SECONDS, self._wakeup)
        finally:
            await self._release()

    async def wait(self) -> None:
        """Wait until the engine has answered, or not in time."""
        await self._known.wait()

    async def until_free(self) -> None:
        """Wait until no other issuer has the lease, as far as the engine says."""
        await self.confirm()
        await self._free.wait()

    async def confirm(self) -> None:
        """Wait as `wait`; ask again if this process was paused for so long that its lease may have ended."""
        await self.wait()
        if self._was_paused:
            async with self._steps:  # an answer may be under way
                if self._was_paused:
                    await self._ask()

    async def check(self) -> None:
        """Raise LeaseLostError while another issuer has the lease, as far as the engine says."""
        await self.confirm()
        if self.is_taken:
            raise LeaseLostError("cannot write into the relay", "another issuer feeds the engine", _REMEDY)

    async def holder(self) -> str | None:
        return await self._engine.holder()

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        expected: str | None = None,
        lease: str | None = None,
        expires_at: float | None = None,
    ) -> str:
        with self._noting_loss():
            return await self._engine.put(
                key, value, expected=expected, lease=lease or self._held(), expires_at=expires_at
            )

    async def delete(self, key: str, *, expected: str, lease: str | None = None) -> None:
        with self._noting_loss():
            await self._engine.delete(key, expected=expected, lease=lease or self._held())

    async def get(self, key: str) -> Stored | None:
        return await self._engine.get(key)

    def follow(self, *kinds: Kind) -> AsyncGenerator[Update, None]:
        return self._engine.follow(*(kind for kind in kinds if kind in ENGINE_KINDS))

    async def acquire(self, holder: str, seconds: int) -> str | None:
        return await self._engine.acquire(holder, seconds)

    async def extend(self, lease: str, seconds: int) -> bool:
        return await self._engine.extend(lease, seconds)

    @property
    def _was_paused(self) -> bool:
        """True if the last question is long ago; while a host sleeps, only the wall clock advances."""
        seconds = self._clock.monotonic() - self._asked_at
        return max(seconds, (self._clock.now() - self._asked_on).total_seconds()) >= SECONDS

    async def _ask(self) -> None:
        """Acquire or extend the lease; what fails is logged. The caller has `_steps`."""
        asked_at, asked_on = self._clock.monotonic(), self._clock.now()
        try:
            await self._step()
        except RecordsError as error:
            _log.debug("cannot extend the lease of the engine: %s", error)  # the feed logs the outage
            self._expire()
        except Exception:  # noqa: BLE001 - a defect here must not stop the renewals, which wait for `_known`
            _log.exception("the lease of the engine cannot be kept")
            self._expire()
        # Not before the answer, on which others rely.
        self._asked_at, self._asked_on = asked_at, asked_on

    async def _step(self) -> None:
        if self._is_older():
            lease, self._lease = self._lease, None
            self._take_away()
            if lease is not None:
                await self._engine.extend(lease, 0)
            return
        if self._lease is not None:
            if await self._engine.extend(self._lease, SECONDS):
                self._was_lost = False  # no other worker of this process wants it, such as after a failover
                return
            self._lease, self._was_lost = None, True
        self._lease = await self._engine.acquire(self._holder, SECONDS)
        if self._lease is not None:
            _log.info("this issuer feeds the engine")
            self._free.set()
            return
        self._take_away()

    def _take_away(self) -> None:
        """Note that another issuer has the lease, or should have it."""
        self._taken_at = self._clock.monotonic()
        if not self.is_taken:
            _log.warning("this issuer does not feed the engine: %s. %s", _OTHER, _REMEDY)
            self._free.clear()

    def _expire(self) -> None:
        """Wait no longer for another issuer, whose lease ends, once the engine has said nothing for so long."""
        if self.is_taken and self._clock.monotonic() - self._taken_at >= SECONDS:
            _log.warning("the engine does not answer: this issuer works with its relay")
            self._free.set()

    async def _release(self) -> None:
        """Let another issuer begin at once; but after a reload, the next worker of this process has or takes it."""
        if self._lease is None or self._was_lost:
            return
        try:
            await self._engine.extend(self._lease, 0)
        except RecordsError as error:
            _log.debug("the lease of the engine ends in %d s: %s", SECONDS, error)

    @contextmanager
    def _noting_loss(self) -> Iterator[None]:
        """Look after the lease at once when the engine says that it was lost."""
        try:
            yield
        except LeaseLostError:
            self._wakeup.set()
            raise

    def _held(self) -> str:
        if self._lease is None:
            why = _OTHER if self.is_taken else "this issuer does not have the lease yet"
            raise LeaseLostError("cannot write into the engine", why, _REMEDY if self.is_taken else "")
        return self._lease
