"""Make the issuer's side of a fleet from the settings."""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wellkeeper_issuer.assembly import build, engines
from wellkeeper_issuer.assembly.notifications import make_notifications
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.state.issuer_id import find_id
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import FleetError, WellkeeperError
from wellkeeper_node.happened import What
from wellkeeper_node.history import read_about

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.distribution import Disk
    from wellkeeper_issuer.fleet.fleet import Fleet
    from wellkeeper_issuer.fleet.lease import LeasedRecords
    from wellkeeper_node.records.relay import RelayRecords

_log = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 60.0


@asynccontextmanager
async def fleet(settings: Settings, state: State, *, is_daemon: bool) -> "AsyncIterator[Fleet | None]":
    """Yield the fleet at work, or None if the settings have none. The caller owns the state.

    Without a daemon, leaving waits some seconds until nodes have what is new. Raises SettingsError, JournalError, and
    without a daemon FleetError while another issuer feeds the engine.
    """
    if not settings.fleet.listen:
        yield None
        return
    from wellkeeper_node.records.relay import RelayRecords

    relay = RelayRecords(settings.fleet.relay, SystemClock())
    async with _leased(settings) as engine:
        opened = await _open(settings, state, relay, engine)
        working = asyncio.create_task(_keep_working(opened))
        try:
            if not is_daemon:
                await check_leading(opened)
            yield opened
            if not is_daemon:
                await _settle(opened)
        finally:
            working.cancel()
            await asyncio.wait([working])
            await relay.close()


@asynccontextmanager
async def _leased(settings: Settings) -> "AsyncIterator[LeasedRecords | None]":
    """Yield the engine, which is written while this issuer has its lease; None without an engine."""
    address = engines.engine_address(settings)
    if address is None:
        yield None
        return
    from wellkeeper_issuer.fleet.lease import LeasedRecords

    records = engines.issuer_records(settings, address)
    leased = LeasedRecords(records, lease_holder(settings), SystemClock())
    leasing = asyncio.create_task(leased.run())
    try:
        yield leased
    finally:
        leasing.cancel()
        await asyncio.wait([leasing])
        await records.close()


def lease_holder(settings: Settings) -> str:
    """Return the name of this process as the holder of a lease.

    The same in all of it: after a reload or a takeover, the next fleet begins before the lease ends.
    """
    return f"{socket.gethostname()} pid {os.getpid()} {settings.state_dir.stat().st_ino:x}"


async def check_leading(fleet: "Fleet | None") -> None:
    """Raise FleetError while another issuer feeds the engine."""
    if fleet is None or fleet.lease is None:
        return
    await fleet.lease.wait()
    if fleet.lease.is_taken:
        remedy = (
            "Run it on that host, or stop that issuer: this one begins within a minute, or five if it is the older."
        )
        raise FleetError("this issuer must not act now", "another issuer feeds the engine", remedy)


async def _open(settings: Settings, state: State, relay: "RelayRecords", engine: "LeasedRecords | None") -> "Fleet":
    from wellkeeper_client.signing import encode_public_key
    from wellkeeper_issuer.fleet.deps import Deps
    from wellkeeper_issuer.fleet.fleet import open_fleet
    from wellkeeper_issuer.fleet.forgetting import Forgetting
    from wellkeeper_issuer.fleet.joins import Joins
    from wellkeeper_issuer.fleet.notices import NodeNotices
    from wellkeeper_issuer.fleet.restored import CatchingUp
    from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
    from wellkeeper_issuer.outside.state.restored import RestoredFile

    keys, clock = FleetKeys(settings.state_dir), SystemClock()
    history = build.history(settings.state_dir)
    keys.make(history)
    kept = disk(settings)
    notifications = make_notifications(settings, state.outbox)
    notices = NodeNotices(state.notes, notifications, kept.bundles, clock)
    joins = Joins(state.fleet, notifications, clock, history)
    names = [one.name for one in settings.certificates]
    has_others = bool(build.nodes(settings))
    public = tuple(map(encode_public_key, keys.trusted))
    forgetting = Forgetting(state.fleet, notifications, clock, history)
    minutes = settings.fleet.restore_wait_minutes
    catching_up = CatchingUp(RestoredFile(settings.state_dir), kept.archive, state.schedules, clock, minutes)
    own = find_id(settings.state_dir, socket.gethostname(), clock.now())
    access = engines.node_access(settings)
    deps = Deps(
        relay,
        keys.current,
        kept,
        state.fleet,
        clock,
        names,
        notices.notify,
        joins,
        has_others,
        public,
        own,
        catching_up,
        forgetting.forget,
        history,
        engine,
        access,
        lambda lineage: delivered(settings.state_dir, lineage),
    )
    return await open_fleet(deps)


def delivered(state_dir: Path, lineage: str) -> list[tuple[str, str, datetime]]:
    """Return the node, the number of the version and the time of each delivery. Raises OSError."""
    found = [one for one in read_about(state_dir, lineage) if one.what == What.CERTIFICATE_DELIVERED]
    return [(one.details.get("node", ""), one.details.get("version", ""), one.at) for one in found]


async def _settle(fleet: "Fleet") -> None:
    """Wait for nodes; what fails then is logged, as the renewals have succeeded."""
    try:
        await fleet.settle()
        await fleet.record_reports()
    except WellkeeperError as error:
        _log.error("%s", error)


def check_without(fleet: "Fleet | None", lineages: Sequence[Lineage]) -> None:
    """Raise SettingsError if a node that is left out is not one of the fleet."""
    known = fleet.nodes if fleet else {}
    for name in sorted(name for one in lineages for name in one.without_nodes if name not in known):
        raise SettingsError(
            f"cannot leave out node {name!r}",
            f"the nodes that joined are: {', '.join(sorted(known)) or 'none'}",
            "Run 'wellkeeper status --nodes' for their names.",
        )


async def _keep_working(fleet: "Fleet") -> None:
    while True:
        try:
            await fleet.run()
        except Exception:  # noqa: BLE001 - a defect there must not end the renewals here
            _log.exception("unexpected error while updating nodes; retrying in %g s", _PAUSE_SECONDS)
        await asyncio.sleep(_PAUSE_SECONDS)


def disk(settings: Settings) -> "Disk":
    """Return what is kept on disk. Raises SettingsError."""
    from wellkeeper_client.signing import key_id
    from wellkeeper_issuer.fleet.distribution import Disk
    from wellkeeper_issuer.outside.archive import ArchiveFolder
    from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
    from wellkeeper_issuer.outside.keys.sealed_bundles import SealedBundles
    from wellkeeper_node.bundles.kept import ManifestFile

    keys = FleetKeys(settings.state_dir)
    trusted, former = keys.trusted, keys.former
    manifests = ManifestFile(
        settings.state_dir / "manifest.jws",
        {key_id(key): key for key in trusted},
        {key_id(former): former} if former else {},
    )
    return Disk(ArchiveFolder(settings.certificates_dir), SealedBundles(settings.state_dir), manifests)
