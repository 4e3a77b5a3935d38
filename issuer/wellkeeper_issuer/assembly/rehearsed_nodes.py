"""Publish to the nodes through relay and engine for a rehearsal, beside a daemon or without one: only tokens.

It needs no lease of the engine: what it stores there has a random name, and hinders no other issuer.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from wellkeeper_client.records import Kind
from wellkeeper_issuer.assembly import build, engines
from wellkeeper_issuer.outside.state.state import has_state
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import RecordsError

if TYPE_CHECKING:
    from wellkeeper_client.fleet_bodies import NodeBody
    from wellkeeper_issuer.fleet.feed import Feed
    from wellkeeper_issuer.fleet.ports import Feeding
    from wellkeeper_issuer.fleet.relayed import RelayedResponder
    from wellkeeper_issuer.fleet.reports import Seen
    from wellkeeper_issuer.ports.fleet import MissingToken
    from wellkeeper_node.records.port import KeptRecords, Records


class NotRecorded:
    """Implements `ports.fleet.MissingTokens` without recording: a rehearsal only reports."""

    async def record_missing_tokens(self, *_tokens: "MissingToken") -> None:
        """Do nothing."""

    async def forget_missing_tokens(self, *_served: tuple[str, str]) -> None:
        """Do nothing."""


@asynccontextmanager
async def remote_nodes(settings: Settings) -> "AsyncIterator[tuple[RelayedResponder, Collection[str]] | None]":
    """Yield what publishes and reads back, and the nodes that answer; None without any.

    Raises JournalError and SettingsError.
    """
    nodes, last = await _read(settings) if settings.fleet.listen and has_state(settings.state_dir) else ({}, {})
    answering = [name for name, one in nodes.items() if one.answers]
    if not answering:
        yield None
        return
    from wellkeeper_issuer.fleet.feed import Feed
    from wellkeeper_issuer.fleet.feeds import Feeds
    from wellkeeper_issuer.fleet.relayed import RelayedResponder
    from wellkeeper_issuer.fleet.reports import Reports
    from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys

    clock, key = SystemClock(), FleetKeys(settings.state_dir).current
    reports = Reports(lambda: nodes, clock, last)
    async with _stores(settings) as stores:
        feeds = [Feed(one, key, clock, {Kind.REPORT: reports.take}) for one in stores]
        feed: Feeding = Feeds(*feeds) if len(feeds) > 1 else feeds[0]
        following = asyncio.create_task(feed.run())
        try:
            await _admit(stores[0], feeds[0], nodes)
            yield RelayedResponder(feed, reports, NotRecorded(), lambda: nodes, clock), answering
        finally:
            following.cancel()
            await asyncio.wait([following])


@asynccontextmanager
async def _stores(settings: Settings) -> "AsyncIterator[list[KeptRecords]]":
    """Yield the relay, and the engine if there is one."""
    from wellkeeper_node.records.relay import RelayRecords

    stores: list[KeptRecords] = [RelayRecords(settings.fleet.relay, SystemClock())]
    address = engines.engine_address(settings)
    if address is not None:
        stores.append(engines.issuer_records(settings, address))
    try:
        yield stores
    finally:
        for one in stores:
            await one.close()


async def _read(settings: Settings) -> "tuple[Mapping[str, NodeBody], Mapping[str, Seen]]":
    from wellkeeper_issuer.fleet.node_status import present
    from wellkeeper_issuer.fleet.reports import read_all
    from wellkeeper_issuer.fleet.seals import Seals, to_bodies

    now = SystemClock().now()
    async with build.state_to_read(settings) as state:
        nodes, reports = await state.fleet.read_nodes(), await state.fleet.read_reports()
    last = read_all(reports)
    # Nodes must not take a record without the access for the end of the engine.
    seals = Seals(engines.node_access(settings))
    return to_bodies(present(nodes, last, now), seals), last


async def _admit(relay: "Records", feed: "Feed", nodes: "Mapping[str, NodeBody]") -> None:
    """Let the nodes follow a relay that has restarted while no daemon runs; one that is away is reported per node."""
    from wellkeeper_issuer.fleet.distribution import node_record

    now = int(SystemClock().now().timestamp())
    try:
        for record in (node_record(name, body, now) for name, body in nodes.items()):
            if await relay.get(record.key) is None:
                await feed.put(record)
    except RecordsError:
        return
