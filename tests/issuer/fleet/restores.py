"""An issuer that was restored from a backup which is older than its nodes."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from tests.fakes import FakeClock, run_tasks_until
from tests.fakes_state import FakeSchedules
from tests.issuer.fleet.played import Played
from tests.issuer.fleet.relays import PlayedNode
from wellkeeper_client.record_state import Stored
from wellkeeper_issuer.fleet.fleet import Fleet
from wellkeeper_issuer.fleet.joins import Joins
from wellkeeper_issuer.fleet.restored import CatchingUp
from wellkeeper_issuer.outside.archive import ArchiveFolder
from wellkeeper_issuer.outside.state.restored import RestoredFile
from wellkeeper_issuer.ports.fleet import Restore
from wellkeeper_issuer.records import Rule, Schedule
from wellkeeper_node.bundles.manifest import Manifest

MINUTES = 15.0


class Restoring:
    """`played` is the host before it is lost, `restored` after it; the relay has lost its memory."""

    def __init__(self, played: Played, folder: Path) -> None:
        self.played, self.folder = played, folder
        self.clock: FakeClock = played.clock
        self.relay, self.records = played.relay, played.records
        self.schedules = FakeSchedules()
        self.file = RestoredFile(folder)
        self.newest: Stored | None = None
        self.manifest: Manifest | None = None
        self.before = ""

    async def lose(self, *, renews: bool = True) -> None:
        """Back the host up, let it renew, and lose it."""
        await self.played.distribution.refresh(["web"])
        self.before = await self.played.distribution.disk.archive.live("web") or ""
        shutil.copytree(self.played.folder, self.folder, symlinks=True, ignore=shutil.ignore_patterns(self.folder.name))
        if renews:
            await self.played.install()
        self.clock.advance(60)
        await self.played.distribution.refresh(["web"])
        self.newest = await self.relay.get("manifest/fleet")
        self.manifest = await self.played.manifest()
        self.relay.restart()
        self.file.write(Restore())
        self.schedules.schedules["web"] = schedule(self.before, self.clock.now())

    @property
    def nodes(self) -> tuple[PlayedNode, PlayedNode]:
        return self.played.web2, self.played.web3

    async def open(self, joins: Joins | None = None) -> Fleet:
        """Return the fleet of another process on the restored host."""
        self.restored = Played(self.folder, self.clock)
        self.restored.relay, self.restored.records = self.relay, self.records
        archive = ArchiveFolder(self.folder / "certificates")
        self.catching_up = CatchingUp(self.file, archive, self.schedules, self.clock, MINUTES)
        return await self.restored.open(joins=joins, catching_up=self.catching_up)

    async def offer(self) -> None:
        """Offer the newest manifest, as a node does to a relay without any."""
        assert self.newest is not None
        await self.relay.put("manifest/fleet", self.newest.value, expected=None, expires_at=self.newest.expires_at)

    async def report(self, *nodes: PlayedNode) -> None:
        assert self.manifest is not None
        for node in nodes:
            await node.say(manifest=self.manifest.number)


def schedule(version: str, now: datetime) -> Schedule:
    return Schedule(
        "web",
        version,
        frozenset(),
        now,
        now + timedelta(days=90),
        "",
        "",
        None,
        Rule.LIFETIME,
        now + timedelta(days=60),
    )


async def until_missing(fleet: Fleet, *names: str) -> None:
    await run_tasks_until(lambda: set(fleet.restored.waiting.missing) == set(names))
