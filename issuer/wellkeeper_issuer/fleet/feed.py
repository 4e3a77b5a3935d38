"""Keep what the issuer says in the relay: store it at once, and all of it again when the relay lost its memory.

The relay is not trusted and may be away: what is wanted is kept here until it is stored. What nodes write is passed on.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import aclosing
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wellkeeper_client import records
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.foreign_text import one_line
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, Record
from wellkeeper_issuer.fleet.refusals import Refusals
from wellkeeper_issuer.fleet.waits import pauses, until
from wellkeeper_node.errors import ConflictError, FleetError, RecordRefusedError, RecordsError
from wellkeeper_node.ports import Clock
from wellkeeper_node.records.port import Records, Update

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 16
_TRIES: Final = 3
# Records in the relay that are not ours, such as reports, and those of nodes that were removed meanwhile.
_MOST_OTHERS: Final = 20_000
_SIGNED_AT_ONCE: Final = 32

Listener = Callable[[Stored], None]


class Feed:
    """`run` follows the relay until cancelled; the other calls work before, beside and after it.

    `listeners` get the records of these kinds, unchecked, as they come. They must not raise.
    """

    def __init__(
        self, relay: Records, fleet_key: Ed25519PrivateKey, clock: Clock, listeners: Mapping[Kind, Listener]
    ) -> None:
        self._relay = relay
        self._key = fleet_key
        self._clock = clock
        self._listeners = listeners
        self._wanted: dict[str, Stored] = {}
        # Their versions: a digest is not made again with each look at thousands of records.
        self._versions: dict[str, str] = {}
        # The versions in the relay, as far as they are known.
        self._there: dict[str, str] = {}
        self._refusals = Refusals()
        # Of these kinds, the relay should have no other records than these and the wanted ones.
        self._only: dict[Kind, Collection[str]] = {}
        self._is_in_snapshot = False
        self._slots = asyncio.Semaphore(_AT_ONCE)
        # Set once the relay has said what it has, and while it has all that is wanted, as far as is known.
        self.heard, self.filled = asyncio.Event(), asyncio.Event()
        self._failed, self._unsent, self._answers = asyncio.Event(), asyncio.Event(), asyncio.Event()
        # The reason why it does not answer, "" while it does; how often it ceased to answer; and what the log calls it.
        self.failure, self.outages, self.name = "", 0, "relay"

    async def put(self, *some: Record) -> None:
        """Sign and store the records, now if the relay answers, else once it does. Raises FleetError for a bad one."""
        signed = []
        for number, one in enumerate(some):
            if number % _SIGNED_AT_ONCE == 0:
                await asyncio.sleep(0)  # other work continues meanwhile
            signed.append(self._signed(one))
        await self.put_signed(*signed)

    async def put_signed(self, *some: Stored) -> None:
        """Store signed messages. The first one that the relay takes after a failure brings the rest."""
        if not some:
            return
        self._wanted |= {one.key: one for one in some}
        self._versions |= {one.key: one.version for one in some}
        self.filled.clear()
        if await self._store([one.key for one in some]) and self.failure and await self._store(list(self._wanted)):
            self._note(None)

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete the records now; ones that this cannot reach expire."""
        gone = list(keys)
        for key in gone:
            self._forget(key)
        await self._remove(gone)

    async def keep_only(self, keys: Collection[str], *kinds: Kind) -> None:
        """Delete the other records of these kinds, such as those of a removed node, now or once the relay answers."""
        kept = frozenset(keys)
        self._only |= dict.fromkeys(kinds, kept)
        for key in [one for one in self._wanted if one not in kept and records.kind_of(one) in kinds]:
            self._forget(key)
        await self._remove_unwanted()

    def has(self, key: str) -> bool:
        return key in self._wanted

    def refusal(self, key: str) -> RecordRefusedError | None:
        """Return why the relay refused the record, if it did."""
        return self._refusals.of(key, self._versions.get(key))

    async def try_refused(self) -> None:
        """Store again what the relay refused, in case that it has room now: the first, then the others."""
        while refused := [key for key in self._refusals.refused() if self.refusal(key)]:
            some = refused[:_AT_ONCE]
            self._refusals.forget(some)
            if not await self._store(some) or any(map(self.refusal, some)):
                return

    async def run(self) -> None:
        """Follow the relay, and store again what failed, until cancelled."""
        retrying = asyncio.create_task(self._retry())
        try:
            await self._follow()
        finally:
            retrying.cancel()
            await asyncio.wait([retrying])

    async def _follow(self) -> None:
        waits = pauses()
        while True:
            self._is_in_snapshot = False
            try:
                async with aclosing(self._relay.follow(*Kind)) as updates:
                    async for update in updates:
                        await self._take(update)
                        waits = pauses()
            except RecordsError as error:
                self.filled.clear()
                self._note(error)
            await until(self._clock, next(waits), self._answers)

    async def wait(self, *, seconds: float) -> None:
        """Wait until the relay has said what it has, or is known to be away."""
        if not self.failure:
            await until(self._clock, seconds, self.heard, self._failed)

    async def wait_until_filled(self, *, seconds: float) -> bool:
        """Wait until the relay has all that is wanted; return whether it had, even if more is wanted now."""
        return await until(self._clock, seconds, self.filled)

    async def _retry(self) -> None:
        waits = pauses()
        while True:
            await self._unsent.wait()
            await self._clock.sleep(next(waits))
            if await self._store(list(self._wanted)) and await self._remove_unwanted():
                self._unsent.clear()
                self._note(None)
                waits = pauses()

    async def _take(self, update: Update) -> None:
        """Compare with a snapshot once it is complete. What it lacks is stored; only what we delete is deleted."""
        if update.is_snapshot and not self._is_in_snapshot:
            self._there.clear()
            self._refusals.forget(self._refusals.refused())
            self.filled.clear()
        self._is_in_snapshot = update.is_snapshot and not update.is_whole
        for one in update.records:
            self._note_version(one)
            listener = self._listeners.get(records.kind_of(one.key))
            if listener is not None:
                listener(one)
        for key in update.removed:
            self._there.pop(key, None)
            if key in self._wanted:
                self.filled.clear()
        if update.is_whole:
            await self._compare(is_snapshot=update.is_snapshot)

    async def _compare(self, *, is_snapshot: bool) -> None:
        """Store what the relay lacks, after all that it has said."""
        self.heard.set()
        if is_snapshot:
            await self._remove_unwanted()
        if not self.filled.is_set() and await self._store(list(self._wanted)):
            self._note(None)

    def _note_version(self, one: Stored) -> None:
        """Remember that it is there, unless the relay has more than it can have."""
        if one.key in self._there or len(self._there) < len(self._wanted) + _MOST_OTHERS:
            self._there[one.key] = one.version

    async def _store(self, keys: Collection[str]) -> bool:
        """Store what is not there; return whether the relay took or refused it. After an outage, the rest waits."""
        now = self._clock.now().timestamp()
        for key in [key for key, one in self._wanted.items() if one.expires_at is not None and one.expires_at <= now]:
            self._forget(key)
        tasks = [asyncio.create_task(self._store_one(key)) for key in keys if not self._is_settled(key)]
        try:
            found = await asyncio.gather(*tasks)
        except RecordsError as error:
            self.filled.clear()
            self._note(error)
            self._unsent.set()
            return False
        except asyncio.CancelledError:
            self._unsent.set()  # what the relay does not have yet is still wanted
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._refusals.log(self._versions)
        if not self._is_in_snapshot and all(map(self._is_settled, self._versions)):
            self.filled.set()
        return all(found)

    async def _store_one(self, key: str) -> bool:
        """Return whether the record is stored or refused. One that others changed is replaced: only we may write it."""
        async with self._slots:
            for _ in range(_TRIES):
                if self.is_there(key):
                    return True
                wanted = self._wanted[key]
                try:
                    self._there[key] = await self._relay.put(
                        key, wanted.value, expected=self._there.get(key), expires_at=wanted.expires_at
                    )
                except ConflictError:
                    await self._look(key)
                except RecordRefusedError as error:
                    self._refusals.add(key, wanted.version, error)
                    break
        return self._is_settled(key)

    def _is_settled(self, key: str) -> bool:
        return self.is_there(key) or self.refusal(key) is not None

    def is_there(self, key: str) -> bool:
        """Return whether the relay has what is wanted under the key, if anything is."""
        wanted = self._versions.get(key)
        return wanted is None or self._there.get(key) == wanted

    def _forget(self, key: str) -> None:
        """Want nothing under this key any more."""
        self._wanted.pop(key, None)
        self._versions.pop(key, None)

    async def _look(self, key: str) -> None:
        """Learn which version the relay has."""
        found = await self._relay.get(key)
        self._there.pop(key, None)
        if found is not None:
            self._there[key] = found.version

    async def _remove_unwanted(self) -> bool:
        """Delete what `keep_only` left out, and return whether nothing of it is there."""
        return await self._remove([key for key in self._there if self._is_unwanted(key)])

    def _is_unwanted(self, key: str) -> bool:
        kept = self._only.get(records.kind_of(key))
        return kept is not None and key not in kept and key not in self._wanted

    async def _remove(self, keys: Iterable[str]) -> bool:
        """Return whether the relay has answered."""
        try:
            for key in keys:
                await self._remove_one(key)
        except RecordsError as error:
            self._note(error)
            self._unsent.set()
            return False
        return True

    async def _remove_one(self, key: str) -> None:
        version = self._there.get(key)
        try:
            if version is not None:
                await self._relay.delete(key, expected=version)
        except ConflictError:
            await self._look(key)
        else:
            self._there.pop(key, None)

    def _signed(self, record: Record) -> Stored:
        try:
            message = records.sign(record, self._key).encode()
        except MessageError as error:
            raise FleetError(f"cannot sign {record.key}", error.detail) from error
        return Stored(record.key, message, float(record.expires_at))

    def _note(self, error: RecordsError | None) -> None:
        """Log once per outage."""
        failure = "" if error is None else one_line(error)
        if failure and not self.failure:
            self.outages += 1
            _log.warning("nodes get nothing new through the %s for now: %s", self.name, error)
        elif self.failure and not failure:
            _log.info("the %s answers again", self.name)
        self.failure = failure
        for event, is_true in ((self._failed, bool(failure)), (self._answers, not failure)):
            if is_true:
                event.set()
            else:
                event.clear()
