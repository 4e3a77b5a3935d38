"""Certificates on disk that cannot be read, written or removed."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes_deliver import NOW, FakeCa, dns
from tests.node.test_durable import largest_file
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.certificates.live import LiveFolder
from wellkeeper_node.errors import InstallError
from wellkeeper_node.model import Pair

A = dns("a.example")


def pairs(count: int) -> list[Pair]:
    return [FakeCa(NOW + timedelta(days=day)).pair(A) for day in range(count)]


async def test_unreadable_key_is_reported_with_its_live_path() -> None:
    with shared_folder() as folder:
        folders = CertificateFolders(folder / "certificates")
        version = await folders.write("web", pairs(1)[0])
        await folders.switch("web", version)
        for path in (folder / "certificates").rglob("*"):
            path.chmod(0o755)
        key = folder / "certificates/archive/web" / version / "privkey.pem"
        key.chmod(0)
        with as_unprivileged_user(), pytest.raises(InstallError, match="certificates/live/web: Permission denied"):
            await folders.read_pair("web")


async def test_version_that_cannot_be_written_completely_leaves_no_files(tmp_path: Path) -> None:
    folders = CertificateFolders(tmp_path)
    [pair] = pairs(1)
    with largest_file(100), pytest.raises(InstallError, match="File too large"):
        await folders.write("web", pair)
    assert list((tmp_path / "archive/web").iterdir()) == []


async def test_file_in_place_of_the_live_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "live").write_text("")
    with pytest.raises(InstallError, match="Not a directory"):
        await CertificateFolders(tmp_path).installed("web")


async def test_live_directory_that_links_to_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "live").symlink_to("live")
    with pytest.raises(InstallError, match="Too many levels of symbolic links"):
        await LiveFolder(tmp_path).versions(["web"])


@pytest.mark.parametrize("damage", ["cut short", "another key"])
async def test_version_whose_copies_are_damaged_as_well_is_not_restored(tmp_path: Path, damage: str) -> None:
    folders = CertificateFolders(tmp_path)
    pair, other = pairs(2)
    version = await folders.write("web", pair)
    await folders.switch("web", version)
    archive = tmp_path / "archive/web" / version
    (archive / "fullchain.pem").write_text("")
    if damage == "cut short":
        leaf = (archive / "cert.pem").read_text()
        (archive / "cert.pem").write_text(f"{leaf}{leaf[:-40]}")
    else:
        (archive / "privkey.pem").write_bytes(other.certificate_key_pem)
    assert await folders.restore("web", lambda _: True) is None
