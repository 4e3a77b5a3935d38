"""An issuer whose fleet runs in the process of a test, with played nodes."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from tests.fakes import FakeClock, FakeHistory
from tests.fakes_fleet import FakeFleet
from tests.issuer.fleet.issuers import Issuer
from tests.issuer.fleet.relays import PlayedNode
from tests.relay.messages import FLEET_KEY, FLEET_KEYS
from wellkeeper_client.heartbeats import UNNAMED
from wellkeeper_issuer.fleet.deps import Deps
from wellkeeper_issuer.fleet.distribution import Disk
from wellkeeper_issuer.fleet.fleet import Fleet, open_fleet
from wellkeeper_issuer.fleet.joins import Joins
from wellkeeper_issuer.fleet.lease import LeasedRecords
from wellkeeper_issuer.fleet.restored import CatchingUp
from wellkeeper_issuer.outside.archive import ArchiveFolder
from wellkeeper_issuer.outside.keys.sealed_bundles import SealedBundles
from wellkeeper_issuer.ports.fleet import EnrolledNode
from wellkeeper_node.agent.report import CertificateReport, CertificateState
from wellkeeper_node.bundles.engine_access import EngineAccess
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.happened import What

Callback = Callable[[Fleet], Awaitable[None]] | None


class Played(Issuer):
    """An issuer with a certificate, and two nodes that joined."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        super().__init__(folder, clock)
        self.records = FakeFleet()
        self.notified: list[Fleet] = []
        self.has_others = True
        self.own = UNNAMED
        self.history = FakeHistory()
        self.can_read_history = True

    async def join(self, *nodes: PlayedNode) -> None:
        for node in nodes:
            body = node.body
            enrolled = EnrolledNode(node.name, body.signing_key, body.sealing_key, ("*",), True, self.clock.now())
            await self.records.record_node(enrolled)

    async def open(
        self,
        notify: Callback = None,
        joins: Joins | None = None,
        catching_up: CatchingUp | None = None,
        forget: Callback = None,
        engine: LeasedRecords | None = None,
        access: EngineAccess | None = None,
    ) -> Fleet:
        archive, bundles = ArchiveFolder(self.folder / "certificates"), SealedBundles(self.folder / "state")
        disk = Disk(archive, bundles, ManifestFile(self.folder / "manifest.jws", FLEET_KEYS))
        deps = Deps(self.relay, FLEET_KEY, disk, self.records, self.clock, ["web"], notify, joins, self.has_others)
        deps = replace(deps, own=self.own, catching_up=catching_up, forget=forget, history=self.history)
        deps = replace(deps, delivered=self.delivered)
        return await open_fleet(replace(deps, engine=engine, access=access))

    def delivered(self, lineage: str) -> list[tuple[str, str, datetime]]:
        if not self.can_read_history:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return [
            (one.details["node"], one.details["version"], self.clock.now())
            for one in self.history.happened
            if (one.what, one.subject) == (What.CERTIFICATE_DELIVERED, lineage)
        ]

    async def report(self, node: PlayedNode, state: CertificateState, number: int) -> None:
        await node.say(certificates={"web": CertificateReport(number, "ab" * 32, state)})


@asynccontextmanager
async def running(fleet: Fleet) -> AsyncIterator[None]:
    task = asyncio.create_task(fleet.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
