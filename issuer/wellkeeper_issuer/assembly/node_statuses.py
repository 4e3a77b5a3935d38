"""Read how far each node has come, from the state and the manifest on disk: nothing here asks a node or waits."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from wellkeeper_issuer.assembly import build, fleets
from wellkeeper_issuer.outside.state.issuer_id import read_id
from wellkeeper_issuer.outside.state.state import has_state
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.clock import SystemClock

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.node_status import Listed, NodeStatus
    from wellkeeper_issuer.fleet.restored import Waiting

# What failed is tried again each day; later, the name is no longer in the settings.
_TRIED_AGAIN: Final = timedelta(days=2)


async def read_waiting(settings: Settings) -> "Waiting | None":
    """Return what a restored issuer waits for, if it does. Raises SettingsError, JournalError and InstallError."""
    from wellkeeper_issuer.fleet.node_status import present
    from wellkeeper_issuer.fleet.reports import read_all
    from wellkeeper_issuer.fleet.restored import GONE_SECONDS, Heard, waiting
    from wellkeeper_issuer.outside.state.restored import RestoredFile

    restore = RestoredFile(settings.state_dir).read()
    if restore is None or restore.lost is not None:
        return None
    async with build.state_to_read(settings) as state:
        nodes, reports = await state.fleet.read_nodes(), await state.fleet.read_reports()
    kept = fleets.disk(settings).manifests.read()
    seen = read_all(reports)
    now = SystemClock().now()
    had_time = restore.waits_from is not None and (now - restore.waits_from).total_seconds() >= GONE_SECONDS
    left = present(nodes, seen, now) if had_time else nodes
    return waiting(restore, Heard(left, seen, kept.manifest if kept else None), settings.fleet.restore_wait_minutes)


async def read_node_statuses(settings: Settings) -> "Sequence[NodeStatus]":
    """Return the status of each node that joined, by name. Raises SettingsError, JournalError and InstallError."""
    from wellkeeper_issuer.fleet.node_status import node_statuses
    from wellkeeper_issuer.fleet.notices import read_listed
    from wellkeeper_issuer.fleet.reports import read_all

    if not has_state(settings.state_dir):
        return ()
    async with build.state_to_read(settings) as state:
        nodes, reports = await state.fleet.read_nodes(), await state.fleet.read_reports()
        missing = await state.fleet.read_missing_tokens(SystemClock().now() - _TRIED_AGAIN)
        dates = await state.schedules.read_dates()
    disk = fleets.disk(settings)
    kept = disk.manifests.read()
    listed = await read_listed(kept.manifest.lineages if kept else {}, disk.bundles)
    listed = await _dated(settings, listed, dates)
    return node_statuses(nodes, read_all(reports), listed, missing)


async def _dated(
    settings: Settings, listed: "Mapping[str, Listed]", dates: "Mapping[str, tuple[str, datetime, datetime]]"
) -> "Mapping[str, Listed]":
    """Add the dates of the versions in the manifest; those that are not live are read from the archive."""
    from wellkeeper_node.certificates.leaves import read_leaves

    found, others = dict(listed), dict[str, str]()
    for name, one in listed.items():
        version, *validity = dates.get(name, ("",))
        if version == one.entry.version.archive_name:
            found[name] = replace(one, not_before=validity[0], not_after=validity[1])
        else:
            others[name] = one.entry.version.archive_name
    leaves = await read_leaves(settings.certificates_dir, others, logging.DEBUG) if others else {}
    for name, leaf in leaves.items():
        found[name] = replace(listed[name], not_before=leaf.not_before, not_after=leaf.not_after)
    return found


async def read_issuers_warning(settings: Settings) -> str:
    """Return that another issuer feeds this fleet, as nodes reported lately; "" if none does.

    Raises SettingsError and JournalError.
    """
    from wellkeeper_client.signing import key_id
    from wellkeeper_issuer.fleet.other_issuers import describe, find_others, heartbeats_in
    from wellkeeper_issuer.fleet.reports import LATELY_SECONDS, read_all
    from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys

    own, now = read_id(settings.state_dir), SystemClock().now()
    if own is None or not has_state(settings.state_dir):
        return ""
    async with build.state_to_read(settings) as state:
        reports = read_all(await state.fleet.read_reports())
    lately = [one for one in reports.values() if (now - one.at).total_seconds() <= LATELY_SECONDS]
    keys = {key_id(key): key for key in FleetKeys(settings.state_dir).trusted}
    return describe(own, find_others(heartbeats_in(lately), keys, own, now))


def read_fullness(settings: Settings) -> tuple[str, str]:
    """Return that the manifest nears the limit of its size, and what to do; "" before."""
    from wellkeeper_issuer.fleet.manifest import REMEDY, nearly_full

    kept = fleets.disk(settings).manifests.read()
    return (nearly_full(kept.message, kept.manifest) if kept else ""), REMEDY
