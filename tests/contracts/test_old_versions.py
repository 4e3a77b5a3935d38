"""`ports.Certificates`: the versions that are no longer needed are the same on disk and in the fake."""

from pathlib import Path

import pytest

from tests.fakes_certificates import FakeCertificates
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
