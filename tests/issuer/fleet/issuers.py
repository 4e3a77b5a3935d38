"""An issuer with certificates on disk and a relay in memory."""

from pathlib import Path

from tests.fakes import FakeClock
from tests.fakes_deliver import FakeCa, dns
from tests.issuer.fleet.relays import FakeRelay, PlayedNode
from tests.relay.messages import FLEET_KEY, FLEET_KEYS
from wellkeeper_client import records
from wellkeeper_client.fleet_bodies import NodeBody
from wellkeeper_client.records import Record
from wellkeeper_issuer.fleet.distribution import Disk, Distribution
from wellkeeper_issuer.fleet.feed import Feed
from wellkeeper_issuer.outside.archive import ArchiveFolder
from wellkeeper_issuer.outside.keys.sealed_bundles import SealedBundles
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.bundles.manifest import MANIFEST_KEY, Manifest, read_manifest
from wellkeeper_node.bundles.model import Bundle, read_sealed, read_wrap
from wellkeeper_node.bundles.opening import open_bundle
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.model import Pair


class Issuer:
    """An issuer with certificates on disk, and two nodes; web2 gets only `web`."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.folder, self.clock = folder, clock
        self.ca = FakeCa()
        self.relay = FakeRelay(clock)
        self.certificates = CertificateFolders(folder / "certificates")
        self.web2, self.web3 = (PlayedNode(name, self.relay, clock) for name in ("web2", "web3"))
        self.nodes: dict[str, NodeBody] = {"web3": self.web3.body}
        self.nodes["web2"] = NodeBody(self.web2.body.signing_key, self.web2.body.sealing_key, ("web",))
        self.distribution = self.start()

    def start(self) -> Distribution:
        """Return what a new process has."""
        archive, bundles = ArchiveFolder(self.folder / "certificates"), SealedBundles(self.folder / "state")
        disk = Disk(archive, bundles, ManifestFile(self.folder / "manifest.jws", FLEET_KEYS))
        feed = Feed(self.relay, FLEET_KEY, self.clock, {})
        self.distribution = Distribution(feed, disk, FLEET_KEY, lambda: self.nodes, self.clock)
        return self.distribution

    async def install(self, lineage: str = "web", pair: Pair | None = None) -> str:
        """Make a new certificate live, and return its version."""
        version = await self.certificates.write(lineage, pair or self.ca.pair(dns(f"{lineage}.example")))
        await self.certificates.switch(lineage, version)
        return version

    async def record(self, key: str) -> Record:
        stored = await self.relay.get(key)
        assert stored is not None
        return records.check(stored.value, FLEET_KEYS, records.kind_of(key), self.clock.now().timestamp())

    async def manifest(self) -> Manifest:
        return read_manifest(await self.record(MANIFEST_KEY))

    async def opened(self, node: PlayedNode, lineage: str = "web") -> Bundle:
        """Return what the node gets."""
        sealed = read_sealed(await self.record(f"bundle/{lineage}"))
        wrap = read_wrap(await self.record(f"wrap/{node.name}/{lineage}"))
        return open_bundle(await self.manifest(), sealed, wrap, node.sealing_key, self.clock.now())

    async def listed(self, lineage: str = "web") -> tuple[int, str]:
        version = (await self.manifest()).lineages[lineage].version
        return version.number, version.archive_name
