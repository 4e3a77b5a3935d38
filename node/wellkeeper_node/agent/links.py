"""Keep in touch with one relay: take its records, give it this node's reports, and the manifest if its own is older.

A node may have several relays, and an engine, which is followed like one. Each has the same records, from which the
inbox takes the newest.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, Protocol

from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, kind_of
from wellkeeper_node.agent.waiting import is_set_within, pauses
from wellkeeper_node.complaints import Complaints
from wellkeeper_node.errors import ConflictError, RecordsError, WellkeeperError
from wellkeeper_node.ports import Clock
from wellkeeper_node.records.port import NodeRecords, Update

_log = logging.getLogger(__name__)

# Bundles are fetched when they are needed: most are for other nodes, or installed already.
FOLLOWED: Final = (Kind.PUBLICATION, Kind.WRAP, Kind.MANIFEST, Kind.NODE, Kind.HEARTBEAT)
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 5.0
_REPORT_SECONDS: Final = 60.0
# The two tasks of a link.
_FOLLOWING: Final = "following"
_REPORTING: Final = "reporting"
# A relay may send so many pages in a row without anything new, such as what another one sent first, or what it removed;
# then it is slowed down, because to check what it makes up costs CPU time.
_FRUITLESS_PAGES: Final = 50
_FRUITLESS_PAUSE_SECONDS: Final = 1.0
# Many certificates that change together make a few reports; a relay limits them. A report of a thousand certificates
# takes the issuer 10 ms, and a whole fleet may be catching up.
_BREATH_SECONDS: Final = 0.05
_BYTES_PER_SECOND: Final = 256 * 1024
# A token that is published, fetched and withdrawn makes several reports; while the CA waits, none is written to disk.
_SHOW_SECONDS: Final = 0.3
# At most this long, the relay is not asked for more before tokens that it sent are reported.
_BUSY_SECONDS: Final = 0.25


class Member(Protocol):
    """The node, for which links work."""

    async def take(self, stored: Stored) -> bool:
        """Take a record that nothing has checked, and return if it is new. Never raises for what is in it."""
        ...

    def taken(self) -> None:
        """Act on the records: nothing follows for now."""
        ...

    def manifest_number(self, message: bytes) -> int:
        """Return the number of a manifest, 0 of anything else."""
        ...

    def newer_manifest(self, number: int) -> Stored | None:
        """Return the kept manifest if its number is higher."""
        ...

    async def report(self) -> Stored:
        """Return a new signed report."""
        ...

    async def show(self) -> None:
        """Keep what was reported for `wellkeeper-node status`. Never raises."""
        ...


@dataclass
class Link:
    """One relay or engine; `failure` is the reason why it does not answer, "" while it does or before it was asked.

    `kind` is one of both words. `contact_at` is the UNIX time of its last answer. `choose` returns a random number from
    0 to 1.
    """

    name: str
    relay: NodeRecords
    member: Member
    clock: Clock
    choose: Callable[[], float]
    kind: str = "relay"
    failure: str = ""
    is_connected: bool = False
    contact_at: float | None = None
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _answers: asyncio.Event = field(default_factory=asyncio.Event)
    _sent: asyncio.Event = field(default_factory=asyncio.Event)
    _is_done: asyncio.Event = field(default_factory=asyncio.Event)
    # While the next poll waits for the report of what the last one brought.
    _is_held: bool = False
    # Version and number; not the value, which may be large and made up.
    _manifest: tuple[str | None, int] = (None, 0)
    _is_in_snapshot: bool = False
    # Set once the relay has said which manifest it has.
    _is_heard: bool = False
    _reported: str | None = None
    _fruitless: int = 0
    _breath_seconds: float = _BREATH_SECONDS
    _failures: dict[str, str] = field(default_factory=dict)
    _lines: Complaints = field(init=False)

    def __post_init__(self) -> None:
        self._lines = Complaints(_log, self.clock)  # a relay must not fill the log

    def notify(self) -> None:
        """Report at once."""
        self._news.set()

    async def run(self) -> None:
        """Follow and report until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._report())
            group.create_task(self._show())

    async def _follow(self) -> None:
        waits = self._pauses()
        while True:
            began, self._is_in_snapshot = self.clock.monotonic(), False
            self._is_held = False
            try:
                async with aclosing(self.relay.follow(*FOLLOWED)) as updates:
                    async for update in updates:
                        self._is_done.clear()
                        self._is_held = any(kind_of(one.key) is Kind.PUBLICATION for one in update.records)
                        await self._take(update)
                        del update  # its values may be large
                        if self._is_held:
                            await is_set_within(self._is_done, _BUSY_SECONDS)
                        self._is_held = False
            except Exception as error:  # noqa: BLE001 - one relay must end neither the other links nor the agent
                self._note(_FOLLOWING, error)
            # Not for a relay that breaks each connection at once.
            if self.clock.monotonic() - began > _LONGEST_PAUSE_SECONDS:
                waits = self._pauses()
            await asyncio.sleep(next(waits))

    async def _take(self, update: Update) -> None:
        if update.is_snapshot and not self._is_in_snapshot:
            self._manifest, self._is_heard = (None, 0), False
        self._is_in_snapshot = update.is_snapshot and not update.is_whole
        is_news = False
        for stored in update.records:
            if kind_of(stored.key) is Kind.MANIFEST:
                self._manifest = stored.version, self.member.manifest_number(stored.value)
            is_news = await self.member.take(stored) or is_news
            await asyncio.sleep(0)  # a page of forged records takes a quarter of a second to check
        if update.is_whole:
            self._note(_FOLLOWING, None)
            self.member.taken()
            self._is_heard = True
            await self._offer()
            if update.is_snapshot:
                self._answers.set()
                self._news.set()
        self._fruitless = 0 if is_news else self._fruitless + 1
        if self._fruitless > _FRUITLESS_PAGES:
            await asyncio.sleep(_FRUITLESS_PAUSE_SECONDS)

    async def _offer(self) -> None:
        """Give the relay the kept manifest when its own is older, or was lost."""
        version, number = self._manifest
        newer = self.member.newer_manifest(number)
        if newer is None:
            return
        try:
            await self.relay.put(newer.key, newer.value, expected=version, expires_at=newer.expires_at)
        except RecordsError as error:  # also when another node was quicker, or the issuer
            _log.debug("cannot give the %s %s a newer manifest: %s", self.kind, self.name, error)
        else:
            self._lines.tell(logging.INFO, f"gave the {self.kind} {self.name} a newer manifest than its own")

    async def _report(self) -> None:
        waits = self._pauses()
        while True:
            self._news.clear()
            is_sent = await self._tell()
            self._sent.set()
            if is_sent:
                waits = self._pauses()
                await asyncio.sleep(self._breath_seconds)
                self._is_done.set()
                await is_set_within(self._news, _REPORT_SECONDS)
            else:
                await is_set_within(self._answers, next(waits))

    async def _show(self) -> None:
        """Keep the last report of a burst."""
        while True:
            await self._sent.wait()
            await asyncio.sleep(_SHOW_SECONDS)
            self._sent.clear()
            await self.member.show()

    async def _tell(self) -> bool:
        """Give the relay a report, and the manifest if its own is older; return False if it does not answer."""
        try:
            report = await self.member.report()
            self._breath_seconds = _BREATH_SECONDS + len(report.value) / _BYTES_PER_SECOND
            # After a failure, the answer to `put` says that it is over.
            may_wait = self._is_held and not self.failure
            if may_wait and self.relay.carry(report, self._reported, self._news.set):
                self._reported, self._is_held = report.version, False
                self._is_done.set()
                return True
            await self._put_anyway(report)
            self._note(_REPORTING, None)
            if self._is_heard:
                await self._offer()
        except Exception as error:  # noqa: BLE001 - as in `_follow`
            self._note(_REPORTING, error)
            self._answers.clear()
            return False
        return True

    async def _put_anyway(self, report: Stored) -> None:
        try:
            await self._put(report)
        except ConflictError:  # it restarted, had one of an earlier process, or got a newer one by another link
            found = await self.relay.get(report.key)
            self._reported = found.version if found else None
            await self._put(await self.member.report())

    async def _put(self, report: Stored) -> None:
        self._reported = await self.relay.put(
            report.key, report.value, expected=self._reported, expires_at=report.expires_at
        )

    def _note(self, task: str, error: Exception | None) -> None:
        """Log once per outage, which ends when both tasks succeed; a fault in the program with its traceback."""
        is_fault = not isinstance(error, WellkeeperError)
        self._failures[task] = "" if error is None else repr(error) if is_fault else str(error)
        failure = next(filter(None, self._failures.values()), "")
        if failure and not self.failure:
            text = f"no contact with the {self.kind} {self.name} for now: {failure}"
            self._lines.tell(logging.WARNING, text, error if is_fault else None)
        elif not failure and not self.is_connected:
            self._lines.tell(logging.INFO, f"following the {self.kind} {self.name}")
        self.failure, self.is_connected = failure, not failure
        if error is None:
            self.contact_at = self.clock.now().timestamp()

    def _pauses(self) -> Iterator[float]:
        return pauses(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, self.choose)
