"""A new version is for the same readers as the previous one."""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.node.certificates.test_folders import renewals
from tests.unprivileged import UNPRIVILEGED_ID, as_unprivileged_user, shared_folder
from wellkeeper_node import acls
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.process import run

USER: Final = 1
GROUP: Final = 4
READER: Final = UNPRIVILEGED_ID
OTHER_GROUP: Final = 12_345
NONE: Final = 0xFFFFFFFF


async def renew(folders: CertificateFolders, key_mode: int, folder_mode: int, user: int = -1, group: int = -1) -> Path:
    """Install a version, change who may read it, install the next one, and return its directory."""

    def change(previous: Path) -> None:
        for path, mode in ((previous / "privkey.pem", key_mode), (previous, folder_mode)):
            os.chown(path, user, group)
            path.chmod(mode)

    return await renew_after(folders, change)


async def renew_after(folders: CertificateFolders, change: Callable[[Path], None]) -> Path:
    first, second = renewals(2)
    await folders.switch("web", await folders.write("web", first))
    change(live(folders))
    await folders.switch("web", await folders.write("web", second))
    return live(folders)


def acl(owner: int, reader: int, group: int, mask: int, others: int) -> bytes:
    """Return an access control list that names the user READER."""
    entries = ((1, owner, NONE), (2, reader, READER), (4, group, NONE), (16, mask, NONE), (32, others, NONE))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *one) for one in entries)


def set_acls(key: bytes, folder: bytes) -> Callable[[Path], None]:
    def set_both(version: Path) -> None:
        os.setxattr(version / "privkey.pem", acls.ATTRIBUTE, key)
        os.setxattr(version, acls.ATTRIBUTE, folder)

    return set_both


def acls_of(version: Path) -> tuple[bytes | None, bytes | None]:
    return acls.read(version / "privkey.pem"), acls.read(version)


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


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((acl(6, 4, 0, 4, 0), acl(7, 5, 0, 5, 0)), (acl(6, 4, 0, 4, 0), acl(7, 5, 0, 5, 0))),
        ((acl(7, 7, 7, 7, 7), acl(7, 7, 7, 7, 7)), (acl(6, 4, 4, 4, 0), acl(7, 5, 5, 5, 0))),
        ((acl(6, 4, 4, 0, 0), acl(7, 5, 5, 0, 0)), (acl(6, 0, 0, 0, 0), acl(7, 0, 0, 0, 0))),
        ((acl(0, 4, 0, 6, 4), acl(0, 1, 0, 1, 1)), (acl(4, 4, 0, 4, 0), acl(7, 1, 0, 1, 0))),
    ],
    ids=["a reader", "everything for all", "masked", "not for the owner"],
)
async def test_access_control_lists_of_the_previous_version_are_kept_and_never_wider(
    tmp_path: Path, before: tuple[bytes, bytes], after: tuple[bytes, bytes]
) -> None:
    version = await renew_after(CertificateFolders(tmp_path), set_acls(*before))
    assert acls_of(version) == after


@pytest.mark.root
async def test_user_of_an_access_control_list_can_still_read_the_key_and_the_group_cannot() -> None:
    with shared_folder() as folder:
        (folder / "certificates/archive").mkdir(parents=True)
        (folder / "certificates/archive/web").mkdir(mode=0o755)
        folders = CertificateFolders(folder / "certificates")
        version = await renew_after(folders, set_acls(acl(6, 4, 0, 4, 0), acl(7, 5, 0, 5, 0)))
        for path in (version, version / "privkey.pem"):
            os.chown(path, -1, OTHER_GROUP)
        with as_unprivileged_user():
            assert (version / "privkey.pem").read_bytes()
        reading = f"cat {version}/privkey.pem"
        in_group = await run(
            ["setpriv", "--reuid", "1", "--regid", str(OTHER_GROUP), "--clear-groups", "sh", "-c", reading], 30
        )
        assert "Permission denied" in in_group.output


async def test_group_of_the_settings_replaces_an_access_control_list(tmp_path: Path) -> None:
    folders = CertificateFolders(tmp_path, group=os.getegid())
    version = await renew_after(folders, set_acls(acl(6, 4, 0, 4, 0), acl(7, 5, 0, 5, 0)))
    assert acls_of(version) == (None, None)
    assert modes(version) == (0o640, 0o644, 0o750)


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


@pytest.mark.root  # only root gives away the files of the previous version
async def test_owner_that_this_user_may_not_give_to_files_is_not_kept() -> None:
    with shared_folder() as folder:
        folders = CertificateFolders(folder)
        first, second = renewals(2)
        with as_unprivileged_user():
            await folders.switch("web", await folders.write("web", first))
        for path in (live(folders), live(folders) / "privkey.pem"):
            os.chown(path, USER, GROUP)
            path.chmod(0o755)
        with as_unprivileged_user():
            own = os.geteuid(), os.getegid()
            await folders.switch("web", await folders.write("web", second))
        status = (live(folders) / "privkey.pem").stat()
        assert (status.st_uid, status.st_gid) == own
        assert modes(live(folders)) == (0o600, 0o644, 0o700)
