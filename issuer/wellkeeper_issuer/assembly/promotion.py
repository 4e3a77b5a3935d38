"""Make a standby the issuer: find out whether the other one is lost, and take over what its node has.

    look: agent's report, its manifest ──▶ take: manifest, marks, uses of limits ──▶ forget older work
                                                                     no standby ◀── not a node any more ◀──┘

Each step may be repeated: a crash leaves a standby.
"""

import asyncio
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wellkeeper_client.compact_jws import MessageError
from wellkeeper_client.heartbeats import read_heartbeat
from wellkeeper_client.signing import key_id
from wellkeeper_issuer.assembly import build, fleets
from wellkeeper_issuer.obtain.limits import Limits
from wellkeeper_issuer.outside.keys.fleet_keys import FleetKeys
from wellkeeper_issuer.outside.state.standby import PROMOTE, Standby, remove_mark
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.settings import Settings
from wellkeeper_issuer.settings.cas import limits
from wellkeeper_node import durable
from wellkeeper_node.agent.shown import StatusFile
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.leaves import read_leaves
from wellkeeper_node.certificates.live import LiveFolder
from wellkeeper_node.certificates.removal import read_versions
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import OlderManifestError
from wellkeeper_node.model import Flip
from wellkeeper_node.start import SILENT_SECONDS, STATUS_FILE

if TYPE_CHECKING:
    from wellkeeper_issuer.model import Attempt, Lineage
    from wellkeeper_node.bundles.kept import Kept
    from wellkeeper_node.model import Certificate
    from wellkeeper_node.settings import NodeSettings

# CAs date certificates back by up to an hour.
_BACKDATED: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Looked:
    """Knowledge of this host; `doubts` are reasons to believe that the other issuer works, or nodes would not follow.

    `relays` has the failure of each relay, "" for one that answers. `missing` are certificates that this host
    lacks, `issued` those that were issued after the backup.
    """

    doubts: tuple[str, ...]
    relays: "dict[str, str]"
    missing: tuple[str, ...]
    issued: "tuple[tuple[Lineage, Certificate], ...]"
    kept: "Kept | None"


async def look(settings: Settings, node: "NodeSettings", standby: Standby) -> Looked:
    """Look at what the agent of this host has heard, and at its certificates; change nothing.

    Raises SettingsError, FleetError and InstallError.
    """
    from wellkeeper_node.agent.build import MANIFEST_FILE

    relays, doubts = await _look_at_agent(settings, node)
    path = node.state_dir / MANIFEST_FILE
    keys = {key_id(key): key for key in FleetKeys(settings.state_dir).trusted}
    kept = await asyncio.to_thread(ManifestFile(path, keys).read)
    if kept is None:
        doubts.append(f"{path} has no manifest of a fleet key in the backup: nodes may not trust this issuer")
    lineages = settings.lineages()
    return Looked(
        tuple(doubts), relays, await _missing(settings, lineages), await _issued(settings, lineages, standby), kept
    )


async def _look_at_agent(settings: Settings, node: "NodeSettings") -> tuple[dict[str, str], list[str]]:
    """Return the relays and the doubts."""
    path = node.state_dir / STATUS_FILE
    shown = await StatusFile(node.name, node.state_dir).read()
    if shown is None or time.time() - path.stat().st_mtime > SILENT_SECONDS:
        return {}, ["wellkeeper-node is not running here, so this host has not listened for the other issuer"]
    return dict(shown.relays), [_doubt(message, settings) for message in shown.report.heartbeats]


def _doubt(message: str, settings: Settings) -> str:
    """Say which issuer the agent has heard within five minutes."""
    keys, now = {key_id(key): key for key in FleetKeys(settings.state_dir).trusted}, time.time()
    try:
        beat = read_heartbeat(message.encode(), keys, now)
    except MessageError as error:
        return f"an issuer was heard in the last minutes: {error.detail}"
    return f"the issuer on {beat.issuer} was heard {max(now - beat.at, 0):.0f} s ago"


async def _missing(settings: Settings, lineages: "Sequence[Lineage]") -> tuple[str, ...]:
    """Return the certificates of which this host has none of a CA."""
    folder = settings.certificates_dir
    leaves = await read_leaves(folder, await LiveFolder(folder).versions())
    return tuple(one.name for one in lineages if one.name not in leaves or leaves[one.name].is_self_signed)


async def _issued(
    settings: Settings, lineages: "Sequence[Lineage]", standby: Standby
) -> "tuple[tuple[Lineage, Certificate], ...]":
    """Return the certificates that were issued after the backup, as far as this host has them."""
    since = standby.backup_at - _BACKDATED
    found = []
    for lineage in lineages:
        leaves = [one.certificate for one in await read_versions(settings.certificates_dir, lineage.name)]
        found += [(lineage, one) for one in leaves if one and not one.is_self_signed and one.not_before > since]
    return tuple(found)


async def promote(settings: Settings, node: "NodeSettings", looked: Looked) -> None:
    """Take over, and make this host the issuer. Idempotent. Raises JournalError, InstallError and FleetError."""
    async with build.owned_state(settings, PROMOTE) as (state, _):
        await _take_manifest(settings, looked.kept)
        await _count(settings, state, looked.issued)
        await _forget_older(settings.certificates_dir, state, {lineage.name for lineage, _ in looked.issued})
        # Its nginx is the issuer's own from now on.
        await state.fleet.forget_node(node.name)
        with durable.translated(settings.state_dir):
            remove_mark(settings.state_dir)


async def _take_manifest(settings: Settings, kept: "Kept | None") -> None:
    """Continue from its numbers, and mark what no node may go back to."""
    manifests = fleets.disk(settings).manifests
    if kept is not None:
        with suppress(OlderManifestError):  # the backup has a newer one
            await asyncio.to_thread(manifests.take, kept.message)
    newest = await asyncio.to_thread(manifests.read)
    certificates = build.certificates(settings)
    for lineage, leaves in (newest.manifest.disown if newest else {}).items():
        if _has_archive(settings.certificates_dir, lineage):
            for leaf in leaves:
                await certificates.never_restore(lineage, leaf)


def _has_archive(certificates_dir: Path, lineage: str, version: str = "") -> bool:
    return (certificates_dir / "archive" / lineage / version).is_dir()


async def _count(settings: Settings, state: State, issued: "Collection[tuple[Lineage, Certificate]]") -> None:
    """Count these certificates for the limits of their CAs; not those that another client obtained."""
    from wellkeeper_issuer.outside.ca.registered_domains import registered_domain

    counting = Limits(state.ledger, SystemClock(), registered_domain)
    for lineage, certificate in issued:
        if lineage.is_external:
            continue
        origin = (await state.read_lineage(lineage.name)).origin
        url = origin.directory_url if origin and origin.directory_url else lineage.directory_urls[0]
        named = replace(lineage, identifiers=tuple(certificate.identifiers))
        # Two that were issued in the same second count twice.
        at = certificate.not_before + timedelta(microseconds=int(certificate.fingerprint_sha256[:8], 16) % 1_000_000)
        await counting.count_issued(url, limits(settings, url), named, at)


async def _forget_older(certificates_dir: Path, state: State, issued: Collection[str]) -> None:
    """Forget what the backup was about to install, where this host has something newer: nothing goes back.

    `issued` are certificates with a version that was issued after the backup.
    """
    live = await LiveFolder(certificates_dir).versions()
    found = await read_leaves(certificates_dir, live)
    leaves = {name: leaf for name, leaf in found.items() if not leaf.is_self_signed}
    for name in await state.attempts.under_way():
        attempt = await state.attempts.read_attempt(name)
        if attempt is not None and _is_outdated(attempt, leaves.get(name), issued):
            await state.attempts.forget_attempt(name)
    for name, flip in (await state.deliveries.undelivered()).items():
        # Names of versions sort by age. The archive is this node's, so a newer one may be missing.
        is_missing = not _has_archive(certificates_dir, name, flip.after)
        if name in leaves and (is_missing or flip.after < live[name]):
            await state.deliveries.record_returned(Flip(name, live[name], live[name]))


def _is_outdated(attempt: "Attempt", live: "Certificate | None", issued: Collection[str]) -> bool:
    """Return whether its certificate is older than the live one; without a chain, it may be one that was issued."""
    if attempt.chain_pem is None:
        return attempt.lineage in issued
    return live is not None and reading.read_certificate(attempt.chain_pem).not_before < live.not_before
