"""A restored issuer: wait for the newest manifest of its nodes, then renew what was renewed after the backup.

    restored ─▶ waits ── all nodes have reported, or the limit ──▶ what is lost is known ── each is renewed ──▶ done

A file keeps this, so a restart continues. While it waits, no manifest is signed, nothing is sealed, nothing ordered.
Then nodes keep each version that is lost here, which the manifest lists, until this issuer has renewed it.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from wellkeeper_issuer.errors import DeferredError
from wellkeeper_issuer.fleet.ports import Archive
from wellkeeper_issuer.fleet.reports import Seen
from wellkeeper_issuer.fleet.waits import until
from wellkeeper_issuer.ports.fleet import Lost, Restore, Restores
from wellkeeper_issuer.ports.state import Schedules
from wellkeeper_issuer.records import Rule
from wellkeeper_node.bundles.manifest import Entry, Manifest
from wellkeeper_node.certificates import reading
from wellkeeper_node.errors import WellkeeperError
from wellkeeper_node.ports import Clock
from wellkeeper_node.wording import format_exact_time, format_time, with_reload

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 2.0
_MINUTE_SECONDS: Final = 60.0
_AGAIN_SECONDS: Final = 30.0
_SHOWN: Final = 5
# Nodes report each minute. Before they could, ephemeral ones look as if they were gone.
GONE_SECONDS: Final = 180.0
REMEDY: Final = with_reload(
    "Start the missing nodes, or remove those that are gone with 'wellkeeper node remove NAME'. To continue without"
    " them, set restore_wait_minutes = 0 under [fleet]"
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The nodes that are missing, with the reason of each, and the end of the wait: None before the first start."""

    until: datetime | None
    missing: Mapping[str, str]

    def __str__(self) -> str:
        some = [f"{name} ({why})" for name, why in list(self.missing.items())[:_SHOWN]]
        more = f" and {len(self.missing) - _SHOWN} more" if len(self.missing) > _SHOWN else ""
        nodes = f"; missing: {', '.join(some)}{more}" if some else ""
        limit = f"until {format_exact_time(self.until)} at the latest" if self.until else "from its first start on"
        return f"after the restore, the issuer waits for the newest manifest of its nodes, {limit}{nodes}"


@dataclass(frozen=True, slots=True)
class Heard:
    """The nodes that are enrolled, their last reports, and the newest manifest that is known here."""

    nodes: Collection[str]
    reports: Mapping[str, Seen]
    manifest: Manifest | None


def waiting(restore: Restore, heard: Heard, minutes: float) -> Waiting:
    """Return what a restored issuer waits for: reports since it first ran, and the newest manifest that they name."""
    since = restore.waits_from
    until = since + timedelta(minutes=minutes) if since else None
    found = {name: _why_missing(heard.reports.get(name), since, heard.manifest) for name in sorted(heard.nodes)}
    return Waiting(until, {name: why for name, why in found.items() if why})


def _why_missing(seen: Seen | None, since: datetime | None, manifest: Manifest | None) -> str:
    if seen is None:
        return "it has never reported"
    if since is None or seen.at < since:
        return f"not seen since {format_time(seen.at)}"
    if seen.report.manifest > (manifest.number if manifest else 0):
        return f"this host lacks its manifest {seen.report.manifest}"
    return ""


@dataclass(slots=True)
class Restored:
    """The last restore, if something of it is left; `waiting` is what it waits for, until `is_over`."""

    restore: Restore | None = None
    waiting: Waiting = Waiting(None, {})
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_waiting(self) -> bool:
        return self.restore is not None and self.restore.lost is None

    @property
    def lost(self) -> Mapping[str, Lost]:
        """The certificates to renew because their newer versions are lost here."""
        return (self.restore.lost if self.restore else None) or {}

    def keeps(self, lineage: str, live: str, listed: Mapping[str, Entry]) -> bool:
        """Return whether nodes keep the listed version, as the live one here is older."""
        lost, entry = self.lost.get(lineage), listed.get(lineage)
        return lost is not None and lost.version == live and entry is not None and entry.version.number <= lost.number

    async def until_over(self, clock: Clock, seconds: float) -> None:
        """Wait, but not for long, until it does not wait any more."""
        if self.restore is not None:
            await until(clock, seconds, self.is_over)

    def check(self, now: datetime) -> None:
        """Raise DeferredError while it waits."""
        if self.is_waiting:
            retry_at = now + timedelta(seconds=_AGAIN_SECONDS)
            raise DeferredError("nothing is ordered yet", str(self.waiting), REMEDY, retry_at=retry_at)


class CatchingUp:
    """Keeps `restored`: `open` comes first; then `wait`, and `renew_lost` again and again.

    `begin` makes an issuer that another one acted for like a restored one: its state is older than what nodes have.
    """

    def __init__(self, file: Restores, archive: Archive, schedules: Schedules, clock: Clock, minutes: float) -> None:
        self._file = file
        self._archive = archive
        self._schedules = schedules
        self._clock = clock
        self._minutes = minutes
        self.restored = Restored()

    async def open(self) -> None:
        """Read it; the wait begins when the fleet runs for the first time. Raises InstallError."""
        restore, now = await asyncio.to_thread(self._file.read), self._clock.now()
        if restore is not None and restore.lost is None and (restore.waits_from is None or restore.waits_from > now):
            restore = Restore(now)
            await self._keep(restore)
        self.restored.restore = restore
        if restore is not None:
            self.restored.waiting = waiting(restore, Heard((), {}, None), self._minutes)

    async def begin(self) -> None:
        """Wait again, with the next call of `wait`. Idempotent. Raises InstallError."""
        if self.restored.is_waiting:
            return
        await self._keep(Restore(self._clock.now()))
        self.restored.is_over.clear()
        _log.warning("another issuer acts: once it is silent, this one waits for its nodes as after a restore")

    async def wait(self, greet: Callable[[], Awaitable[None]], hear: Callable[[], Awaitable[Heard]]) -> None:
        """Return once there is nothing to wait for. `greet`, called each minute, lets nodes report."""
        next_minute = -math.inf
        while self.restored.is_waiting:
            is_new_minute = self._clock.monotonic() >= next_minute
            if is_new_minute:
                next_minute = self._clock.monotonic() + _MINUTE_SECONDS
                await _logging_failure(greet())
            try:
                if await self._is_over(await hear()):
                    break
                if is_new_minute:
                    _log.warning("%s. %s", self.restored.waiting, REMEDY)
            except WellkeeperError as error:
                _log.error("%s", error)
                await self._clock.sleep(_MINUTE_SECONDS)
            await self._clock.sleep(_LOOK_SECONDS)
        self.restored.is_over.set()

    async def renew_lost(self, listed: Mapping[str, Entry]) -> None:
        """Make lost certificates due, and forget those of which a newer version is listed. Idempotent.

        Again and again: the answer of a CA may replace a time of renewal at the same time.
        """
        left = dict[str, Lost]()
        for name, one in self.restored.lost.items():
            entry = listed.get(name)
            if entry is not None and entry.version.number <= one.number:
                left[name] = one
                await self._make_due(name, one)
        if self.restored.restore is not None and left != self.restored.lost:
            await self._keep(replace(self.restored.restore, lost=left))

    async def _make_due(self, lineage: str, lost: Lost) -> None:
        known = await self._schedules.read_schedule(lineage)
        if known is None or known.version != lost.version or known.rule in {Rule.RESTORED, Rule.REVOKED}:
            return
        due = replace(known, rule=Rule.RESTORED, renew_at=self._clock.now(), ask_at=None)
        await self._schedules.record_schedule(due)

    async def _is_over(self, heard: Heard) -> bool:
        """End the wait if it is over; another worker of the daemon may have ended it."""
        restore = self.restored.restore = await asyncio.to_thread(self._file.read)
        if restore is None or restore.lost is not None:
            return True
        found = self.restored.waiting = waiting(restore, heard, self._minutes)
        if found.missing and found.until is not None and self._clock.now() < found.until:
            return False
        await self._mark_revoked(heard.manifest)
        lost = await self._find_lost(heard.manifest)
        await self._keep(replace(restore, lost=lost))
        _log_end(found.missing, heard.manifest, lost)
        await self.renew_lost(heard.manifest.lineages if heard.manifest else {})
        return True

    async def _mark_revoked(self, manifest: Manifest | None) -> None:
        """Mark what was revoked after the backup, so that neither this host nor nodes go back to it."""
        for name, leaves in (manifest.disown if manifest else {}).items():
            for leaf in leaves:
                await self._archive.never_restore(name, leaf)

    async def _find_lost(self, manifest: Manifest | None) -> Mapping[str, Lost]:
        found = {}
        for name, entry in (manifest.lineages if manifest else {}).items():
            newest = await self._archive.newest(name)
            if (newest is None or newest.number < entry.version.number) and not await self._has(name, entry):
                found[name] = Lost(await self._archive.live(name), entry.version.number)
        return found

    async def _has(self, lineage: str, entry: Entry) -> bool:
        """Return whether the version is in the archive: the backup may have been made before it was numbered."""
        if entry.version.archive_name not in await self._archive.versions(lineage):
            return False
        pair = await self._archive.read(lineage, entry.version.archive_name)
        return pair is not None and reading.read_certificate(pair.chain_pem).fingerprint_sha256 == entry.leaf_sha256

    async def _keep(self, restore: Restore) -> None:
        is_over = restore.lost is not None and not restore.lost
        if is_over:
            await asyncio.to_thread(self._file.remove)
        else:
            await asyncio.to_thread(self._file.write, restore)
        self.restored.restore = None if is_over else restore


async def _logging_failure(work: Awaitable[None]) -> None:
    """Log what fails: it must not prolong the wait."""
    try:
        await work
    except WellkeeperError as error:
        _log.error("%s", error)


def _log_end(missing: Mapping[str, str], manifest: Manifest | None, lost: Mapping[str, Lost]) -> None:
    if missing:
        _log.warning("the wait after the restore is over without %s", ", ".join(missing))
    _log.info("continuing after the restore from manifest %d", manifest.number if manifest else 0)
    for name, one in lost.items():
        _log.warning(
            "certificate %s was renewed after the backup: nodes keep version %d, which this host lacks, until it is"
            " renewed",
            name,
            one.number,
        )
