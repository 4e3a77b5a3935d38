"""Old versions: which ones are no longer needed, and how they are removed."""

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes_deliver import NOW, FakeCa, dns
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_node.certificates.folders import CertificateFolders

A = dns("a.example")
DAY = timedelta(days=1)


async def install(folders: CertificateFolders, count: int, days: int = 1) -> list[str]:
    """Install so many certificates of 90 days, one every few days, and return their versions."""
    versions = []
    for number in range(count):
        versions.append(await folders.write("web", FakeCa(NOW + number * days * DAY).pair(A)))
        await folders.switch("web", versions[-1])
    return versions


async def old(folders: CertificateFolders, days: int = 0) -> list[str]:
    return [one.version for one in await folders.old_versions("web", NOW + days * DAY)]


def kept(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "archive/web").iterdir())


async def test_switching_removes_nothing(tmp_path: Path) -> None:
    versions = await install(CertificateFolders(tmp_path), 8)
    assert kept(tmp_path) == versions


async def test_versions_before_the_last_five_are_old_except_the_live_one(tmp_path: Path) -> None:
    folders = CertificateFolders(tmp_path)
    versions = await install(folders, 8)
    assert await old(folders) == versions[:3]
    await folders.switch("web", versions[1])
    assert await old(folders) == [versions[0], versions[2]]


async def test_version_that_expired_over_thirty_days_ago_is_old(tmp_path: Path) -> None:
    folders = CertificateFolders(tmp_path)
    versions = await install(folders, 3, days=60)
    assert await old(folders, days=119) == []
    assert await old(folders, days=121) == versions[:1]
    assert await old(folders, days=1000) == versions[:2]  # the live one stays, expired or not


async def test_damaged_version_is_old_by_its_age_alone(tmp_path: Path) -> None:
    folders = CertificateFolders(tmp_path)
    versions = await install(folders, 7)
    for version in (versions[0], versions[4]):
        (tmp_path / "archive/web" / version / "fullchain.pem").write_text("garbage")
    assert await old(folders) == versions[:2]


async def test_nothing_is_old_where_nothing_is_installed(tmp_path: Path) -> None:
    assert await old(CertificateFolders(tmp_path / "missing")) == []


async def test_chain_and_key_are_removed_together_and_the_live_version_never(tmp_path: Path) -> None:
    folders = CertificateFolders(tmp_path)
    versions = await install(folders, 3)
    for _ in range(2):
        await folders.remove_versions("web", versions)
    assert kept(tmp_path) == versions[2:]
    assert await folders.installed("web") is not None


async def test_version_that_cannot_be_removed_is_reported_and_stays_whole(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with shared_folder() as folder:
        root = folder / "certificates"
        folders = CertificateFolders(root)
        versions = await install(folders, 2)
        (root / ".lock").chmod(0o666)
        archive = root / "archive/web"
        archive.chmod(0o555)
        with as_unprivileged_user():
            await folders.remove_versions("web", versions)
        assert f"cannot remove the old version {archive}/{versions[0]}: " in caplog.text
        assert len(list((archive / versions[0]).iterdir())) == 4
