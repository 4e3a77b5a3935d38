"""A node's agent: what it takes from relays, what it does with that, and what it reports."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wellkeeper_client import records
from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.fleet_bodies import NodeBody, parse_node
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind, Record, kind_of
from wellkeeper_node.agent.clocks import concern_about
from wellkeeper_node.agent.fetching import Fetching
from wellkeeper_node.agent.fitting import shortened
from wellkeeper_node.agent.inbox import Inbox
from wellkeeper_node.agent.issuers import HeardIssuers
from wellkeeper_node.agent.links import Link
from wellkeeper_node.agent.manifests import Manifests
from wellkeeper_node.agent.numbers import ReportNumbers
from wellkeeper_node.agent.pickup import Pickup
from wellkeeper_node.agent.report import CHECK_SECONDS, FOLLOWS, Report
from wellkeeper_node.agent.responder import OwnResponder
from wellkeeper_node.agent.tokens import Tokens
from wellkeeper_node.agent.waiting import is_set_within, pauses
from wellkeeper_node.bundles.manifest import Manifest
from wellkeeper_node.errors import FleetError, InstallError, WellkeeperError
from wellkeeper_node.ports import Clock

_log = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS: Final = 2.0
_LONGEST_RETRY_SECONDS: Final = 600.0
# Not all nodes ask the relay for a new bundle at the same moment.
_JITTER_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True)
class Own:
    """This node: its name, the version of its program, its signing key, and whether it answers challenges.

    `fleet_key_ids` are the fleet keys that it trusts, `next_keys` the line of its own next keys.
    """

    node: str
    version: str
    signing_key: Ed25519PrivateKey
    answers: bool
    fleet_key_ids: tuple[str, ...] = ()
    next_keys: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """The parts of an agent, connected.

    `live` returns the lineages on disk, `clock_ahead` the seconds between the clock here and that of a relay, `show`
    keeps a report for `status`. `enrolled` gets each record of this node, and returns True when its keys have changed;
    so does `moved`, with the record's message, when it names another engine.
    """

    inbox: Inbox
    tokens: Tokens
    responder: OwnResponder
    manifests: Manifests
    fetching: Fetching
    pickup: Pickup
    numbers: ReportNumbers
    issuers: HeardIssuers
    live: Callable[[], Awaitable[Collection[str]]]
    clock_ahead: Callable[[], float | None]
    show: Callable[[Report], Awaitable[None]]
    choose: Callable[[], float]
    enrolled: Callable[[NodeBody], bool] = lambda _: False
    moved: Callable[[Record, bytes], bool] = lambda *_: False


class Agent:
    """Implements `links.Member`. `run` works until it is cancelled."""

    def __init__(self, own: Own, work: Work, clock: Clock, changed: asyncio.Event) -> None:
        self._own = own
        self._work = work
        self._clock = clock
        self._changed = changed
        self._body: NodeBody | None = None
        self._is_news = False
        self._is_outdated = asyncio.Event()
        self._links: Sequence[Link] = ()

    async def run(self, links: Sequence[Link]) -> None:
        """Follow, publish, pick up and report, until the keys or the engine of this node have changed.

        Raises InstallError when the state directory cannot be read.
        """
        self._links = links
        await self._work.manifests.open()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._pick_up())]
            if self._own.answers:
                tasks.append(group.create_task(self._work.responder.run(self._work.tokens)))
            tasks += [group.create_task(link.run()) for link in links]
            await self._is_outdated.wait()
            for task in tasks:
                task.cancel()

    async def take(self, stored: Stored) -> bool:
        """Implement `links.Member.take`."""
        if kind_of(stored.key) is Kind.MANIFEST:
            is_new = await self._work.manifests.take(stored.value)
            self._is_news |= is_new
            return is_new
        if kind_of(stored.key) is Kind.HEARTBEAT:
            return self._work.issuers.take(stored.value)
        record = self._work.inbox.take(stored)
        if record is None:
            return False
        try:
            self._act(record, stored.value)
        except MessageError as error:
            _log.warning("ignored the record %s: %s", record.key, error.detail)
        return True

    def taken(self) -> None:
        """Implement `links.Member.taken`."""
        if self._is_news:
            self._is_news = False
            self._changed.set()

    def manifest_number(self, message: bytes) -> int:
        """Implement `links.Member.manifest_number`."""
        return self._work.manifests.number_of(message)

    def newer_manifest(self, number: int) -> Stored | None:
        """Implement `links.Member.newer_manifest`."""
        return self._work.manifests.newer(number)

    async def report(self) -> Stored:
        """Implement `links.Member.report`."""
        return self._signed(self._report(), await self._work.numbers.next())

    async def show(self) -> None:
        """Implement `links.Member.show`."""
        await self._work.show(self._report())

    def _act(self, record: Record, message: bytes) -> None:
        """Use a record that the inbox took. Raises MessageError."""
        if record.kind is Kind.NODE:
            self._body = parse_node(record.body)
            try:
                has_moved = self._work.moved(record, message)
                if self._work.enrolled(self._body) or has_moved:
                    self._is_outdated.set()
            except WellkeeperError as error:
                _log.error("%s", error)
        elif record.kind is Kind.WRAP:
            self._work.fetching.take_wrap(record, message)
        elif self._own.answers:
            self._work.tokens.take(record)
        self._is_news |= record.kind is not Kind.PUBLICATION

    async def _pick_up(self) -> None:
        """Bring certificates here: at the start, whenever something arrives, hourly, and until all is done."""
        waits = pauses(_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS)
        while True:
            self._changed.clear()
            seconds = CHECK_SECONDS if await self._pass() else next(waits)
            if await is_set_within(self._changed, seconds):
                waits = pauses(_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS)
                await asyncio.sleep(self._work.choose() * _JITTER_SECONDS)

    async def _pass(self) -> bool:
        """Return False if something must be repeated."""
        work = self._work
        try:
            await work.manifests.retry()
            manifest = work.manifests.manifest
            is_done = manifest is None or await work.pickup.run_once(manifest, await self._wanted(manifest))
        except InstallError as error:
            _log.warning("%s", error)
            return False
        except Exception:  # noqa: BLE001 - tokens must still come
            _log.exception("unexpected error while fetching certificates; please report it")
            return False
        return is_done and work.manifests.is_taken

    async def _wanted(self, manifest: Manifest) -> list[str]:
        """Return the lineages that this node should have: those that its record says, else those that it knows."""
        body = self._body
        if body is not None:
            return [name for name in manifest.lineages if body.gets(name)]
        known = {*self._work.fetching.wrapped, *await self._work.live()}
        return [name for name in manifest.lineages if name in known]

    def _report(self) -> Report:
        work, manifest, now = self._work, self._work.manifests.manifest, self._clock.now()
        of_clock = concern_about(work.clock_ahead())
        of_date = manifest.concern(now) if manifest and not of_clock else None
        connected = {link.kind for link in self._links if link.is_connected}
        concerns = filter(None, (of_clock, work.manifests.concern, work.pickup.concern, of_date))
        return Report(
            version=self._own.version,
            clock=round(now.timestamp(), 3),
            manifest=manifest.number if manifest else 0,
            concern="; ".join(concerns) or None,
            responder=work.responder.report,
            publications=work.tokens.publications,
            fetches=work.tokens.fetches,
            certificates=dict(work.pickup.reports),
            fleet_key_ids=self._own.fleet_key_ids,
            next_keys=self._own.next_keys,
            heartbeats=work.issuers.heartbeats,
            follows=tuple(kind for kind in FOLLOWS if kind in connected),
            checked_at=work.pickup.checked_at,
        )

    def _signed(self, report: Report, number: int) -> Stored:
        """Return the record of the report, shortened if necessary. Raises FleetError."""
        why = ""
        for one in shortened(report):
            record = one.to_record(self._own.node, number, int(self._clock.now().timestamp()))
            try:
                message = records.sign(record, self._own.signing_key)
            except MessageError as error:
                why = error.detail
            else:
                return Stored(record.key, message.encode(), float(record.expires_at))
        raise FleetError("cannot sign a report", why)
