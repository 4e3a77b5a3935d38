"""Certificates on disk whose key is kept elsewhere, and disowned keys."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes_deliver import FakeCa, dns
from wellkeeper_node import public_keys
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.errors import InstallError
from wellkeeper_node.model import Pair

A = dns("a.example")
CA = FakeCa()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "certificates"


@pytest.fixture
def folders(root: Path) -> CertificateFolders:
    return CertificateFolders(root)


def keyless() -> Pair:
    return replace(CA.pair(A), certificate_key_pem=b"")


async def install(folders: CertificateFolders, pair: Pair) -> str:
    version = await folders.write("web", pair)
    await folders.switch("web", version)
    return version


async def test_version_without_a_key_has_no_privkey(folders: CertificateFolders, root: Path) -> None:
    pair = keyless()
    version = await install(folders, pair)
    names = sorted(path.name for path in (root / "archive/web" / version).iterdir())
    assert names == ["cert.pem", "chain.pem", "fullchain.pem", "privkey-is-elsewhere"]
    found = await folders.installed("web")
    assert found
    assert (found.version, found.has_key) == (version, False)
    assert await folders.read_pair("web") == pair
    assert await folders.write("web", pair) == version


async def test_pair_reads_back_as_written(folders: CertificateFolders) -> None:
    pair = CA.pair(A)
    assert await folders.read_pair("web") is None
    await install(folders, pair)
    found = await folders.installed("web")
    assert found
    assert found.has_key
    assert await folders.read_pair("web") == pair


async def test_same_certificate_with_and_without_key_are_two_versions(folders: CertificateFolders) -> None:
    pair = CA.pair(A)
    first = await install(folders, pair)
    second = await install(folders, replace(pair, certificate_key_pem=b""))
    assert second == f"{first}-1"
    assert await folders.write("web", pair) == first


async def test_missing_or_damaged_key_is_not_taken_for_one_kept_elsewhere(
    folders: CertificateFolders, root: Path
) -> None:
    version = await install(folders, CA.pair(A))
    key = root / "archive/web" / version / "privkey.pem"
    key.write_bytes(b"")
    assert await folders.installed("web") is None
    key.unlink()
    assert await folders.installed("web") is None


async def test_invalid_certificate_without_a_key_is_refused_too(folders: CertificateFolders) -> None:
    with pytest.raises(InstallError, match="of web: the certificate or its key is not PEM"):
        await folders.write("web", Pair(b"", b"hello"))


async def test_disowned_key_stays_disowned_whatever_is_live(folders: CertificateFolders) -> None:
    assert await folders.disowned_keys("web") == frozenset()
    await folders.disown_key("web")
    first, second = CA.pair(A), CA.pair(A)
    version = await install(folders, first)
    await folders.disown_key("web")
    await folders.disown_key("web")
    await install(folders, second)
    await folders.switch("web", version)
    await install(folders, second)
    assert await folders.disowned_keys("web") == {public_keys.leaf_key_fingerprint(first.chain_pem)}


async def test_no_version_of_a_disowned_certificate_is_restored(folders: CertificateFolders) -> None:
    await folders.disown_all("web")
    pairs = [CA.pair(A) for _ in range(2)]
    for pair in pairs:
        await install(folders, pair)
    for _ in range(2):
        await folders.disown_all("web")
    assert await folders.disowned_keys("web") == {public_keys.leaf_key_fingerprint(one.chain_pem) for one in pairs}
    assert await folders.restore("web", lambda _: True) is None
    assert await folders.read_pair("web") == pairs[1]
