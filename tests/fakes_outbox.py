"""Fakes of notifications on their way: the outbox, and targets."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.messages import Backlog, Message
from wellkeeper_issuer.records import Notice


class FakeOutbox:
    """Implements `ports.people.Outbox`; calls raise JournalError while `is_broken`; `record_sent`, while `is_full`."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.rows: dict[str, list[Message]] = {}
        self.sent: set[tuple[str, str]] = set()
        self.troubles: dict[str, tuple[datetime, str]] = {}
        self.is_broken = self.is_full = False

    def _check(self, *, may_write: bool = False) -> None:
        if self.is_broken or (may_write and self.is_full):
            raise JournalError("cannot use the state", "the disk is full")

    async def put(self, message: Message, targets: Sequence[str], most: int) -> None:
        self._check()
        for target in targets:
            rows = self.rows.setdefault(target, [])
            same = [one for one in rows if one.subject == message.subject and message.at - one.at < timedelta(hours=1)]
            if not same or (same[-1].notice, same[-1].detail) != (message.notice, message.detail):
                rows.append(message)
            waiting = [one for one in rows if (target, one.id) not in self.sent]
            self.rows[target] = [one for one in rows if one not in waiting[:-most]]
        self.changed.set()

    async def read_waiting(self, target: str) -> Sequence[Message]:
        self._check()
        return [one for one in self.rows.get(target, []) if (target, one.id) not in self.sent]

    async def record_sent(self, target: str, message_id: str) -> None:
        self._check(may_write=True)
        self.sent.add((target, message_id))
        self.troubles.pop(target, None)

    async def forget(self, target: str, message_id: str) -> None:
        self.rows[target] = [one for one in self.rows.get(target, []) if one.id != message_id]
        if not await self.read_waiting(target):
            self.troubles.pop(target, None)

    async def record_trouble(self, target: str, error: str, at: datetime) -> None:
        since, _ = self.troubles.get(target, (at, ""))
        self.troubles[target] = since, error

    async def read_backlogs(self) -> Mapping[str, Backlog]:
        return {
            target: await self._backlog(target)
            for target in {*self.rows, *self.troubles}
            if await self.read_waiting(target) or target in self.troubles
        }

    async def _backlog(self, target: str) -> Backlog:
        waiting = await self.read_waiting(target)
        since, error = self.troubles.get(target, (None, ""))
        return Backlog(len(waiting), since, error, min((one.at for one in waiting), default=None))


class FakeTarget:
    """Implements `ports.people.Target`: `got` lists messages; `errors` are raised first; `send` waits for `open`."""

    def __init__(self, name: str, *wanted: Notice, errors: Sequence[Exception] = ()) -> None:
        self.name = name
        self.wanted = set(wanted or Notice)
        self.got: list[Message] = []
        self.tried: list[str] = []
        self.errors = list(errors)
        self.open = asyncio.Event()
        self.open.set()

    def wants(self, notice: Notice) -> bool:
        return notice in self.wanted

    async def send(self, message: Message) -> None:
        self.tried.append(message.id)
        await self.open.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.got.append(message)
