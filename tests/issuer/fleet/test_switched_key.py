"""Two fleets that work side by side for a moment, because the fleet key was switched: the later key prevails."""

from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.fakes import FakeClock
from tests.fleet import OTHER_FLEET_KEY
from tests.issuer.fleet.issuers import Issuer
from tests.relay.messages import FLEET_KEY, FLEET_KEYS
from wellkeeper_client.signing import encode_public_key, key_id
from wellkeeper_issuer.fleet.distribution import Disk, Distribution
from wellkeeper_issuer.fleet.feed import Feed
from wellkeeper_issuer.outside.archive import ArchiveFolder
from wellkeeper_issuer.outside.keys.sealed_bundles import SealedBundles
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.bundles.manifest import MANIFEST_KEY

NEXT_KEYS = {key_id(OTHER_FLEET_KEY.public_key()): OTHER_FLEET_KEY.public_key()}


def distribution(
    issuer: Issuer,
    key: Ed25519PrivateKey,
    trusted: Mapping[str, Ed25519PublicKey],
    former: Mapping[str, Ed25519PublicKey] | None = None,
) -> Distribution:
    """Return what a worker has that began with these keys; all of them share the files."""
    manifests = ManifestFile(issuer.folder / "manifest.jws", trusted, former)
    disk = Disk(ArchiveFolder(issuer.folder / "certificates"), SealedBundles(issuer.folder / "state"), manifests)
    feed, names = Feed(issuer.relay, key, issuer.clock, {}), tuple(map(encode_public_key, trusted.values()))
    return Distribution(feed, disk, key, lambda: issuer.nodes, issuer.clock, names)


async def test_manifest_that_the_former_key_has_signed_last_is_signed_again(folder: Path, clock: FakeClock) -> None:
    issuer = Issuer(folder, clock)
    await issuer.install()
    before = distribution(issuer, FLEET_KEY, FLEET_KEYS | NEXT_KEYS)
    after = distribution(issuer, OTHER_FLEET_KEY, NEXT_KEYS, FLEET_KEYS)
    await before.refresh(["web"])
    await after.refresh(["web"])
    stored = await issuer.relay.get(MANIFEST_KEY)
    assert stored is not None
    before.hear(stored)
    await before.refresh(["web"])
    last = before.disk.manifests.read()
    assert last is not None
    assert len(last.manifest.fleet_keys) == 2
    await after.refresh(["web"])
    found = after.disk.manifests.read()
    assert found is not None
    assert found.manifest.fleet_keys == tuple(map(encode_public_key, NEXT_KEYS.values()))
    assert found.manifest.number > last.manifest.number
