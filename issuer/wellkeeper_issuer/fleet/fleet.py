"""The issuer's side of a fleet: feeds the relay, hears the nodes, and stops a roll-out that goes wrong.

`run` works until cancelled; a pass publishes and delivers through `responder` and `distribution` meanwhile.
"""

import asyncio
import logging
import math
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Final

from wellkeeper_client.fleet_bodies import NodeBody
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_client.signing import decode_public_key, key_id
from wellkeeper_issuer.fleet.deps import Deps
from wellkeeper_issuer.fleet.distribution import Distribution, node_record
from wellkeeper_issuer.fleet.feed import Feed, Listener
from wellkeeper_issuer.fleet.feeds import Feeds
from wellkeeper_issuer.fleet.fleet_history import FleetHistory
from wellkeeper_issuer.fleet.leased_relay import LeasedRelay
from wellkeeper_issuer.fleet.node_status import has_ended, is_gone
from wellkeeper_issuer.fleet.other_issuers import OtherIssuers
from wellkeeper_issuer.fleet.ports import Feeding
from wellkeeper_issuer.fleet.rekeying import rekeyed
from wellkeeper_issuer.fleet.relayed import RelayedResponder
from wellkeeper_issuer.fleet.reports import Reports, Seen, read_all
from wellkeeper_issuer.fleet.restored import GONE_SECONDS, Heard, Restored
from wellkeeper_issuer.fleet.roll_outs import RollOuts
from wellkeeper_issuer.fleet.seals import Seals, to_bodies
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_node.errors import WellkeeperError

_log = logging.getLogger(__name__)

_BEAT_SECONDS: Final = 60.0
_REFRESH_SECONDS: Final = 3600.0
# During a renewal, each node reports several times.
_RECORD_SECONDS: Final = 1.0
# A node whose nginx is slow, or that reloads for one certificate after the other.
_SETTLE_SECONDS: Final = 45.0
_RELAY_SECONDS: Final = 10.0


class Fleet:
    """One for each process; `open_fleet` makes it."""

    def __init__(self, deps: Deps, nodes: Mapping[str, EnrolledNode], last: Mapping[str, Seen]) -> None:
        self._deps = deps
        self._lineages = deps.lineages
        self.nodes = nodes
        self._bodies: tuple[Mapping[str, EnrolledNode], Mapping[str, NodeBody]] = {}, {}
        clock = deps.clock
        self.reports = Reports(self.bodies, clock, last)
        self._recorded = {name: seen.number for name, seen in last.items()}
        keys = [deps.fleet_key.public_key(), *map(decode_public_key, deps.fleet_keys)]
        self.others = OtherIssuers(deps.own, {key_id(key): key for key in keys}, self.reports, clock, deps.engine)
        known = {(name, nodes[name].enrolled_at): seen.report for name, seen in last.items() if name in nodes}
        self._history = FleetHistory(deps.history, known, deps.delivered)
        listeners: dict[Kind, Listener] = {Kind.REPORT: self.reports.take, Kind.MANIFEST: self._hear}
        listeners[Kind.HEARTBEAT] = self.others.hear
        if deps.joins is not None:
            listeners[Kind.JOIN] = deps.joins.take
        self.restored = deps.catching_up.restored if deps.catching_up else Restored()
        self.lease, self._seals = deps.engine, Seals(deps.access)
        stores = (LeasedRelay(deps.relay, deps.engine), deps.engine) if deps.engine else (deps.relay,)
        self.feeds = tuple(Feed(one, deps.fleet_key, clock, listeners) for one in stores)
        self.feed: Feeding = Feeds(*self.feeds) if len(self.feeds) > 1 else self.feeds[0]
        self.responder = RelayedResponder(
            self.feed,
            self.reports,
            deps.records,
            self.bodies,
            clock,
            has_others=deps.has_others,
            is_gone=self._is_gone,
        )
        self.distribution = Distribution(
            self.feed, deps.disk, deps.fleet_key, self.bodies, clock, deps.fleet_keys, self.restored, self.others
        )
        self.roll_outs = RollOuts(self.distribution, self.reports, lambda: self.nodes, self._history, self.others)
        self._refreshed_at, self._listens_from = -math.inf, clock.now()
        self._has_changed = asyncio.Event()

    def bodies(self) -> Mapping[str, NodeBody]:
        """Return the bodies of the nodes' records, made once for all reports of the same nodes."""
        nodes, bodies = self._bodies
        if nodes is not self.nodes:
            bodies = to_bodies(self.nodes, self._seals)
            self._bodies = self.nodes, bodies
        return bodies

    def serve(self, lineages: Collection[str]) -> None:
        """Send nodes these certificates from now on; the settings have changed."""
        self._lineages = lineages
        self._refreshed_at = -math.inf
        self._has_changed.set()

    async def run(self) -> None:
        """Work until cancelled: feed, heartbeat, roll-outs."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.feed.run())
            group.create_task(self._keep_reports())
            if self._deps.joins is not None:
                group.create_task(self._deps.joins.run(self.feed))
            # A node may have a higher manifest than an issuer whose state is older.
            await self.feed.wait(seconds=_RELAY_SECONDS)
            if self._deps.catching_up is not None:
                await self._deps.catching_up.wait(self._greet, self._hear_all)
            group.create_task(self.roll_outs.watch())
            await self._hear_nodes()
            while True:
                await self.beat()
                await self._pause()
                if self._deps.catching_up is not None and not self.others.is_replaced:
                    await self._deps.catching_up.wait(self._greet, self._hear_all)

    async def _greet(self) -> None:
        """Let nodes connect, report and join, and no more."""
        await self._read_nodes()
        now = int(self._deps.clock.now().timestamp())
        await self.feed.put(*(node_record(*one, now) for one in self.bodies().items()), self.others.heartbeat())
        await self.feed.try_refused()
        self.others.warn()
        if self._deps.joins is not None:
            await self._deps.joins.offer(self.feed)

    async def _hear_all(self) -> Heard:
        await self._read_nodes()
        if self._deps.joins is not None:
            with suppress(WellkeeperError):  # logged once a minute
                await self._deps.joins.offer(self.feed)
        now = self._deps.clock.now()
        if self.feed.failure or not self.feed.heard.is_set():
            self._listens_from = now
        had_time = (now - self._listens_from).total_seconds() >= GONE_SECONDS
        expected = [name for name in self.nodes if not (had_time and self._is_gone(name))]
        return Heard(expected, self.reports.last, await self.distribution.learn())

    async def _hear_nodes(self) -> None:
        """Let nodes connect, join, and say whether another issuer took over, before they get anything."""
        hearing = asyncio.ensure_future(self.others.hear_nodes())
        try:
            while not hearing.done():
                with suppress(WellkeeperError):  # the next beat repeats it, and logs what fails
                    await self._greet()
                await self._pause(hearing)
        finally:
            hearing.cancel()

    async def _pause(self, *others: asyncio.Future[Any]) -> None:
        """Wait until the next beat; other settings, a node that joins or leaves, and `others` bring it forward."""
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._deps.records.wait_for_change())]
        waits.append(asyncio.ensure_future(self._has_changed.wait()))
        waits.append(asyncio.ensure_future(self._deps.clock.sleep(_BEAT_SECONDS)))
        try:
            await asyncio.wait([*waits, *others], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._has_changed.clear()
            for one in waits:
                one.cancel()

    async def beat(self) -> None:
        """Do what is due each minute. What fails is logged, and done with the next beat."""
        try:
            await self._read_nodes()
            if self._deps.catching_up is not None and self.others.is_replaced and self.others.active:
                await self._deps.catching_up.begin()
            now = self._deps.clock.monotonic()
            if self.distribution.is_outdated or now - self._refreshed_at >= _REFRESH_SECONDS:
                await self.refresh()
            if self._deps.catching_up is not None:
                await self._deps.catching_up.renew_lost(self.distribution.listed)
            await self.feed.put(self.others.heartbeat())
            self.others.warn()
            await self.feed.try_refused()
            if self._deps.joins is not None:
                await self._deps.joins.offer(self.feed)
            await self.record_reports()
            if self._deps.notify is not None:
                await self._deps.notify(self)
            if self._deps.forget is not None:
                await self._deps.forget(self)
        except WellkeeperError as error:
            _log.error("%s", error)

    async def refresh(self) -> None:
        """Send nodes all that they should have; after a change of nodes or certificates. Raises WellkeeperError.

        Nothing after a restore, until the nodes have said what they have, nor while a newer issuer does that.
        """
        await self.others.confirm()
        if self.restored.is_waiting or self.others.is_replaced:
            return
        # Before the work: what changes meanwhile makes another one due.
        self._refreshed_at = self._deps.clock.monotonic()
        try:
            self.nodes = await self._deps.records.read_nodes()
            await self.distribution.refresh(self._lineages)
        except BaseException:
            self._refreshed_at = -math.inf
            raise

    async def until_joined(self, invite: str) -> None:
        """Wait until a node has used the invite with this id."""
        if self._deps.joins is not None:
            await self._deps.joins.until_answered(invite)

    async def settle(self) -> None:
        """Wait, but not for long, until the relay has everything and nodes have tried it: this process ends.

        Raises WellkeeperError.
        """
        if self.restored.is_waiting:
            return
        await self.feed.wait(seconds=_RELAY_SECONDS)
        await self.refresh()
        if not await self.feed.wait_until_filled(seconds=_RELAY_SECONDS):
            _log.warning("nodes get what is new once the relay answers: %s", self.feed.failure or "it is slow")
            return
        heard = [name for name in self.nodes if self.reports.is_lately_heard(name)]
        if not await self.reports.until(lambda: all(map(self._has_tried_all, heard)), _SETTLE_SECONDS):
            _log.info("not all nodes have reported the newest certificates yet; see 'wellkeeper status --nodes'")

    async def record_reports(self) -> None:
        """Record the reports that are new. Raises JournalError."""
        nodes = self.nodes  # others may be enrolled meanwhile
        new = [seen for name, seen in self.reports.last.items() if self._recorded.get(name) != seen.number]
        await self._deps.records.record_reports(*(one.to_record() for one in new))
        self._recorded |= {seen.node: seen.number for seen in new}
        await self._history.take(nodes, new, self.distribution.listed)
        for seen in new:  # one by one: two may offer the same keys
            for node in rekeyed(self.nodes, [seen]):
                await self._rekey(node, self.nodes[node.name])

    async def _rekey(self, node: EnrolledNode, former: EnrolledNode) -> None:
        """Enrol the new keys, unless the node was removed meanwhile, or added with others."""
        await self._deps.records.rekey_node(node, former)
        self.nodes = await self._deps.records.read_nodes()
        self.serve(self._lineages)
        found = self.nodes.get(node.name)
        if found is not None and found.signing_key == node.signing_key:
            self.reports.rekey(node.name, node.signing_key)
            _log.info("node %r has new keys", node.name)
            await self._history.rekeyed(node, former)

    async def _keep_reports(self) -> None:
        """Record reports soon after they arrive, so that `status --nodes` is up to date.

        Not at once: the CA waits for the reports that follow the first one.
        """
        while True:
            await self.reports.until(self._has_unrecorded, _REFRESH_SECONDS)
            await self._deps.clock.sleep(_RECORD_SECONDS)
            with suppress(WellkeeperError):  # the next beat repeats it, and logs what fails
                await self.record_reports()

    def _has_unrecorded(self) -> bool:
        return any(self._recorded.get(name) != seen.number for name, seen in self.reports.last.items())

    def _has_tried_all(self, node: str) -> bool:
        body, report = self.bodies()[node], self.reports.of(node)
        return all(
            has_ended(report, name, entry) for name, entry in self.distribution.listed.items() if body.gets(name)
        )

    async def _read_nodes(self) -> None:
        """Look whether a node joined or left."""
        nodes = await self._deps.records.read_nodes()
        if nodes != self.nodes:
            self.nodes = nodes
            self._refreshed_at = -math.inf

    def _is_gone(self, name: str) -> bool:
        """Return whether orders need not wait for the node, which could be seen by the way that it followed last."""
        node, now, seen = self.nodes.get(name), self._deps.clock.now(), self.reports.last.get(name)
        is_by_engine = seen is not None and "engine" in seen.report.follows and not self.feeds[-1].failure
        is_visible = is_by_engine or not self.feeds[0].failure
        return node is not None and is_visible and is_gone(node, self.reports.seen_at(name), now)

    def _hear(self, stored: Stored) -> None:
        self.distribution.hear(stored)


async def open_fleet(deps: Deps) -> Fleet:
    """Return the fleet as the state has it. Raises JournalError and InstallError."""
    if deps.catching_up is not None:
        await deps.catching_up.open()
    reports = read_all(await deps.records.read_reports())
    return Fleet(deps, await deps.records.read_nodes(), reports)
