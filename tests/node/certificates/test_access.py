"""A new version is for the same readers as the previous one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.node.certificates.test_folders import renewals
from tests.unprivileged import shared_folder
from wellkeeper_node.certificates.folders import CertificateFolders

USER: Final = 1
GROUP: Final = 4


async def renew(folders: CertificateFolders, key_mode: int, folder_mode: int, user: int = -1, group: int = -1) -> Path:
    """Install a version, change who may read it, install the next one, and return its directory."""
    first, second = renewals(2)
    await folders.switch("web", await folders.write("web", first))
    previous = live(folders)
    for path, mode in ((previous / "privkey.pem", key_mode), (previous, folder_mode)):
        os.chown(path, user, group)
        path.chmod(mode)
    await folders.switch("web", await folders.write("web", second))
    return live(folders)


def live(folders: CertificateFolders) -> Path:
    return Path(folders.live_path("web")).resolve()


def replace_key_by_link(version: Path) -> None:
    (version / "privkey.pem").unlink()
    (version / "privkey.pem").symlink_to("/etc/passwd")


def remove_key(version: Path) -> None:
    (version / "privkey.pem").unlink()


def modes(version: Path) -> tuple[int, int, int]:
    return tuple(path.stat().st_mode & 0o7777 for path in (version / "privkey.pem", version / "cert.pem", version))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((0o600, 0o700), (0o600, 0o644, 0o700)),
        ((0o640, 0o750), (0o640, 0o644, 0o750)),
        ((0o400, 0o500), (0o400, 0o644, 0o700)),
        ((0o666, 0o777), (0o640, 0o644, 0o750)),
        ((0o044, 0o755), (0o440, 0o644, 0o750)),
    ],
    ids=["usual", "for a group", "read-only", "for all", "not for the owner"],
)
async def test_modes_of_the_previous_version_are_kept_and_never_wider(
    tmp_path: Path, before: tuple[int, int], after: tuple[int, int, int]
) -> None:
    version = await renew(CertificateFolders(tmp_path), *before)
    assert modes(version) == after


@pytest.mark.root  # only root gives files away
async def test_owner_and_group_of_the_previous_version_are_kept(tmp_path: Path) -> None:
    version = await renew(CertificateFolders(tmp_path), 0o640, 0o750, USER, GROUP)
    for path in (version, *version.iterdir()):
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (USER, GROUP)
    assert modes(version) == (0o640, 0o644, 0o750)


@pytest.mark.root
async def test_owner_and_group_of_the_settings_win() -> None:
    owner, group = 2, 3
    with shared_folder() as folder:
        folders = CertificateFolders(folder / "certificates", owner=owner, group=group)
        version = await renew(folders, 0o600, 0o700, owner, GROUP)
        status = (version / "privkey.pem").stat()
        assert (status.st_uid, status.st_gid) == (owner, group)
        assert modes(version) == (0o640, 0o644, 0o750)


@pytest.mark.parametrize("lose", [replace_key_by_link, remove_key])
async def test_previous_version_without_a_key_file_gives_nothing_to_keep(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    folders = CertificateFolders(tmp_path)
    first, second = renewals(2)
    await folders.switch("web", await folders.write("web", first))
    lose(live(folders))
    await folders.switch("web", await folders.write("web", second))
    assert modes(live(folders)) == (0o600, 0o644, 0o700)
