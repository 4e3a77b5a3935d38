"""`ports.Certificates`: the versions that are no longer needed are the same on disk and in the fake."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import NOW, FakeCa, dns
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.model import Pair
from wellkeeper_node.ports import Certificates


@pytest.fixture(params=["fake", "folders"])
def certificates(request: pytest.FixtureRequest, tmp_path: Path) -> Certificates:
    return FakeCertificates() if request.param == "fake" else CertificateFolders(tmp_path / "certificates")


async def install(certificates: Certificates, pair: Pair) -> str:
    version = await certificates.write("web", pair)
    await certificates.switch("web", version)
    return version


async def test_versions_are_listed_from_the_oldest(certificates: Certificates) -> None:
    older, newer = (FakeCa(NOW + timedelta(days=days)).pair(dns("a.example")) for days in (0, 60))
    assert await certificates.versions("web") == []
    written = [await certificates.write("web", pair) for pair in (newer, older)]
    assert await certificates.versions("web") == written[::-1]
    assert reading.read_certificate(older.chain_pem).fingerprint_sha256[:8] in written[1]


async def test_surplus_and_long_expired_versions_are_old_and_can_be_removed(certificates: Certificates) -> None:
    pairs = [FakeCa(NOW + timedelta(days=number)).pair(dns("a.example")) for number in range(7)]
    versions = [await install(certificates, pair) for pair in pairs]
    assert [one.version for one in await certificates.old_versions("web", NOW)] == versions[:2]
    old = await certificates.old_versions("web", NOW + timedelta(days=1000))
    assert [one.version for one in old] == versions[:6]
    assert [one.certificate for one in old] == [reading.read_certificate(pair.chain_pem) for pair in pairs[:6]]
    assert [Path(one.folder).parts[-3:] for one in old] == [("archive", "web", version) for version in versions[:6]]
    for _ in range(2):
        await certificates.remove_versions("web", versions)
    assert await certificates.old_versions("web", NOW + timedelta(days=1000)) == []
    assert await certificates.read_pair("web") == pairs[6]
