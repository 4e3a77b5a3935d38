"""The files of a certificate: moved away, moved back, deleted."""

from pathlib import Path

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.certificates.removal import delete_moved, move_away, move_back, read_versions
from wellkeeper_node.errors import InstallError

CA, A = FakeCa(), dns("a.example")


async def install(root: Path) -> CertificateFolders:
    folders = CertificateFolders(root)
    for lineage in ("web", "mail"):
        await folders.switch(lineage, await folders.write(lineage, CA.pair(A)))
    return folders


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


async def test_files_that_are_moved_away_can_be_moved_back(tmp_path: Path) -> None:
    folders = await install(tmp_path)
    before, pair = everything(tmp_path), await folders.read_pair("web")
    for _ in range(2):
        await move_away(tmp_path, "web")
    assert await folders.installed("web") is None
    for _ in range(2):
        await move_back(tmp_path, "web")
    assert everything(tmp_path) == before
    assert await folders.read_pair("web") == pair


async def test_files_that_are_moved_away_can_be_deleted(tmp_path: Path) -> None:
    folders = await install(tmp_path)
    await move_away(tmp_path, "web")
    for _ in range(2):
        await delete_moved(tmp_path, "web")
    assert not any("web" in name for name in everything(tmp_path))
    assert await folders.installed("mail") is not None


async def test_leftovers_of_a_removal_that_was_killed_are_deleted_by_the_next(tmp_path: Path) -> None:
    folders = await install(tmp_path)
    await move_away(tmp_path, "web")
    await folders.switch("web", await folders.write("web", CA.pair(A)))
    await move_away(tmp_path, "web")
    await delete_moved(tmp_path, "web")
    assert not any("web" in name for name in everything(tmp_path))


@pytest.mark.parametrize("part", ["live", "live and archive"])
async def test_files_that_a_killed_removal_left_moved_away_are_restored(tmp_path: Path, part: str) -> None:
    folders = await install(tmp_path)
    before, installed = everything(tmp_path), await folders.installed("web")
    await move_away(tmp_path, "web")
    if part == "live":
        (tmp_path / "archive/.removed-web").rename(tmp_path / "archive/web")
    assert await folders.restore("web", lambda _: True) == installed
    assert everything(tmp_path) == before


async def test_files_that_a_killed_removal_left_do_not_replace_new_ones(tmp_path: Path) -> None:
    folders = await install(tmp_path)
    await move_away(tmp_path, "web")
    version = await folders.write("web", CA.pair(A))
    await folders.switch("web", version)
    await move_back(tmp_path, "web")
    installed = await folders.installed("web")
    assert installed is not None
    assert installed.version == version


async def test_nothing_is_moved_when_one_part_cannot_be() -> None:
    with shared_folder() as folder:
        root = folder / "certificates"
        folders = await install(root)
        before = everything(root)
        for path in (root, root / "live"):
            path.chmod(0o777)
        (root / ".lock").chmod(0o666)
        with as_unprivileged_user(), pytest.raises(InstallError, match="Permission denied"):
            await move_away(root, "web")
        assert everything(root) == before
        assert await folders.installed("web") is not None


async def test_missing_certificates_dir_has_nothing_to_move_or_read(tmp_path: Path) -> None:
    for call in (move_away, move_back, delete_moved):
        await call(tmp_path / "missing", "web")
    assert await read_versions(tmp_path / "missing", "web") == []
    assert not (tmp_path / "missing").exists()
