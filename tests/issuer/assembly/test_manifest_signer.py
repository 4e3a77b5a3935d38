"""The fleet key that has signed the manifest in force."""

from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.fleet import OTHER_FLEET_KEY
from tests.relay.messages import FLEET_KEY, FLEET_KEYS
from wellkeeper_client.signing import key_id
from wellkeeper_issuer.assembly.manifest_signer import is_signed_by
from wellkeeper_issuer.fleet.manifest import sign_manifest
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.bundles.manifest import Manifest

OTHER = OTHER_FLEET_KEY.public_key()


@pytest.fixture
def manifests(folder: Path) -> ManifestFile:
    return ManifestFile(folder / "manifest.jws", {key_id(OTHER): OTHER}, FLEET_KEYS)


async def test_nothing_is_lost_without_a_manifest(manifests: ManifestFile, clock: FakeClock) -> None:
    assert await is_signed_by(OTHER, manifests, clock, 0)


async def test_key_that_signs_within_the_time_has_signed(manifests: ManifestFile, folder: Path) -> None:
    class Signing(FakeClock):
        """The daemon signs another manifest after three seconds."""

        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if sum(self.slept) >= 3:
                manifests.take(sign_manifest(Manifest(2, 2, {}, {}, {}), OTHER_FLEET_KEY))

    (folder / "manifest.jws").write_bytes(sign_manifest(Manifest(1, 1, {}, {}, {}), FLEET_KEY))
    assert not await is_signed_by(OTHER, manifests, Signing(), 0)
    assert not await is_signed_by(OTHER, manifests, Signing(), 2)
    assert await is_signed_by(OTHER, manifests, Signing(), 10)
