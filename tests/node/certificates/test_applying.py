"""Installed versions get the owner and group of the settings."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.certificates.test_access import OTHER_GROUP, acl, modes, set_acls
from tests.node.certificates.test_folders import renewals
from tests.unprivileged import UNPRIVILEGED_ID, as_unprivileged_user, shared_folder
from wellkeeper_node import acls
from wellkeeper_node.certificates.applying import apply_access
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.durable import Owner
from wellkeeper_node.errors import InstallError

pytestmark = pytest.mark.root  # only root gives files away

USER = UNPRIVILEGED_ID


@pytest.fixture
def root() -> Iterator[Path]:
    with shared_folder() as folder:
        folder.chmod(0o755)
        yield folder / "certificates"


async def install(root: Path, *lineages: str, folders: CertificateFolders | None = None) -> None:
    """Install two versions of each."""
    certificates = folders or CertificateFolders(root)
    for name in lineages or ("web",):
        for pair in renewals(2):
            await certificates.switch(name, await certificates.write(name, pair))


def all_versions(root: Path) -> list[Path]:
    return sorted(root.glob("archive/*/*Z-*"))


def owners(root: Path) -> set[tuple[int, int]]:
    found = [path.lstat() for path in (root, *root.rglob("*"))]
    return {(one.st_uid, one.st_gid) for one in found}


async def test_every_version_gets_the_group_and_its_modes(root: Path) -> None:
    await install(root, "web", "shop")
    assert await apply_access(root, Owner(group=OTHER_GROUP)) == ["shop", "web"]
    versions = all_versions(root)
    assert len(versions) == 4
    for version in versions:
        assert modes(version) == (0o640, 0o644, 0o750)
        assert version.parent.stat().st_mode & 0o7777 == 0o750
        assert {path.stat().st_gid for path in (version.parent, version, *version.iterdir())} == {OTHER_GROUP}
        assert {path.stat().st_uid for path in version.iterdir()} == {0}
    assert await apply_access(root, Owner(group=OTHER_GROUP)) == []


async def test_member_of_the_group_can_read_the_key_then(root: Path) -> None:
    await install(root)
    key = root / "live/web/privkey.pem"
    with as_unprivileged_user(), pytest.raises(PermissionError):
        key.read_bytes()
    await apply_access(root, Owner(group=UNPRIVILEGED_ID))
    with as_unprivileged_user():
        assert key.read_bytes()


async def test_later_versions_are_as_those_that_were_given(root: Path) -> None:
    await install(root)
    await apply_access(root, Owner(group=OTHER_GROUP))
    before = all_versions(root)
    await install(root, folders=CertificateFolders(root, group=OTHER_GROUP))
    (new,) = {modes(one) for one in all_versions(root)}
    assert new == modes(before[0])
    assert await apply_access(root, Owner(group=OTHER_GROUP)) == []


async def test_version_that_others_may_read_stays_as_it_is(root: Path) -> None:
    await install(root, "web", "shop")
    web, shop = ((root / "live" / name).resolve() for name in ("web", "shop"))
    os.chown(web / "privkey.pem", -1, OTHER_GROUP)
    set_acls(acl(6, 4, 0, 4, 0), acl(7, 5, 0, 5, 0))(web)
    os.chown(shop / "privkey.pem", -1, UNPRIVILEGED_ID)
    (shop / "privkey.pem").chmod(0o640)
    before = acls.read(web / "privkey.pem")
    assert await apply_access(root, Owner(group=OTHER_GROUP)) == []
    assert acls.read(web / "privkey.pem") == before is not None
    status = (shop / "privkey.pem").stat()
    assert (status.st_gid, status.st_mode & 0o777) == (UNPRIVILEGED_ID, 0o640)


async def test_older_version_that_others_may_read_stays_when_the_others_get_the_group(root: Path) -> None:
    await install(root)
    older = next(one for one in all_versions(root) if one != (root / "live/web").resolve())
    os.chown(older / "privkey.pem", -1, UNPRIVILEGED_ID)
    (older / "privkey.pem").chmod(0o640)
    assert await apply_access(root, Owner(group=OTHER_GROUP)) == ["web"]
    assert (older / "privkey.pem").stat().st_gid == UNPRIVILEGED_ID
    assert (root / "live/web/privkey.pem").stat().st_gid == OTHER_GROUP


async def test_links_are_never_followed(root: Path, tmp_path: Path) -> None:
    await install(root)
    precious = tmp_path / "precious"
    precious.mkdir(mode=0o700)
    (precious / "key").touch(mode=0o600)
    version = (root / "live/web").resolve()
    (version / "link").symlink_to(precious / "key")
    (version.parent / "20990101T000000Z-00000000").symlink_to(precious)
    assert await apply_access(root, Owner(group=OTHER_GROUP)) == ["web"]
    for path in (precious, precious / "key"):
        assert path.stat().st_gid == 0


async def test_owner_gets_all_that_belongs_to_root(root: Path) -> None:
    await install(root)
    await apply_access(root, Owner(user=USER))
    assert {user for user, _ in owners(root)} == {USER}
    folders = CertificateFolders(root, owner=USER)
    await install(root, "shop", folders=folders)
    assert {user for user, _ in owners(root)} == {USER}


async def test_owner_and_group_are_given_together(root: Path) -> None:
    await install(root)
    assert await apply_access(root, Owner(USER, OTHER_GROUP)) == ["web"]
    version = (root / "live/web").resolve()
    assert modes(version) == (0o640, 0o644, 0o750)
    status = (version / "privkey.pem").stat()
    assert (status.st_uid, status.st_gid) == (USER, OTHER_GROUP)


async def test_what_belongs_to_a_third_user_is_not_given_away(root: Path) -> None:
    await install(root)
    os.chown(root / "archive/web", 1, 1)
    with pytest.raises(InstallError, match=r"cannot give 'web' to certificates_owner: another user may change it"):
        await apply_access(root, Owner(user=USER))
    assert (0, 0) in owners(root)


async def test_directory_that_others_may_write_to_is_not_given_away(root: Path) -> None:
    await install(root)
    (root / "archive").chmod(0o777)
    with pytest.raises(InstallError, match=r"cannot give 'archive'"):
        await apply_access(root, Owner(user=USER))


async def test_root_touches_nothing_in_a_directory_that_the_owner_has_already(root: Path, tmp_path: Path) -> None:
    """The owner may have put anything there, such as another name of a file of root."""
    await install(root, folders=CertificateFolders(root, owner=USER))
    precious = tmp_path / "precious"
    precious.touch(mode=0o600)
    version = (root / "live/web").resolve()
    (version / "privkey.pem").unlink()
    (version / "privkey.pem").symlink_to(precious)
    os.chown(root, 0, 0)
    await apply_access(root, Owner(USER, OTHER_GROUP))
    assert (precious.stat().st_uid, precious.stat().st_gid, precious.stat().st_mode & 0o777) == (0, 0, 0o600)


async def test_file_of_root_in_a_version_of_another_user_is_not_touched(root: Path) -> None:
    """Such a user could give it another name there, where the kernel allows it."""
    await install(root)
    version = (root / "live/web").resolve()
    for path in (version, *version.iterdir()):
        os.chown(path, USER, 0)
    version.parent.chmod(0o755)
    precious = root.parent / "precious"
    precious.touch(mode=0o600)
    os.link(precious, version / "extra.pem")
    with pytest.raises(InstallError, match=r"cannot use .*extra\.pem"):
        await apply_access(root, Owner(group=OTHER_GROUP))
    status = precious.stat()
    assert (status.st_gid, status.st_mode & 0o777) == (0, 0o600)


async def test_owner_s_files_get_the_group_with_the_owner_s_rights(root: Path) -> None:
    await install(root, folders=CertificateFolders(root, owner=USER))
    assert await apply_access(root, Owner(USER, OTHER_GROUP)) == ["web"]
    assert {path.stat().st_gid for path in (root / "live/web").resolve().iterdir()} == {OTHER_GROUP}


async def test_nothing_is_done_where_nothing_is_installed(root: Path) -> None:
    assert await apply_access(root, Owner(USER, OTHER_GROUP)) == []
    for name in ("web", "other"):
        (root / "archive" / name).mkdir(parents=True)
    (root / "archive/strange").touch()
    (root / "live").mkdir()
    (root / "live/web").symlink_to("elsewhere")
    assert await apply_access(root, Owner(group=OTHER_GROUP)) == []
    (root / "archive/strange").unlink()
    for name in ("web", "other"):
        (root / "archive" / name).rmdir()
    (root / "archive").rmdir()
    assert await apply_access(root, Owner(group=OTHER_GROUP)) == []
    assert await apply_access(root, Owner()) == []


async def test_version_without_a_key_gets_the_group_too(root: Path) -> None:
    await install(root)
    for version in all_versions(root):
        (version / "privkey.pem").unlink()
    assert await apply_access(root, Owner(group=OTHER_GROUP)) == ["web"]
    assert await apply_access(root, Owner(group=OTHER_GROUP)) == []


async def test_links_that_cannot_be_read_are_not_taken_for_missing_ones(root: Path) -> None:
    await install(root)
    await apply_access(root, Owner(USER))
    (root / "live").chmod(0)
    with pytest.raises(InstallError, match="Permission denied"):
        await apply_access(root, Owner(group=OTHER_GROUP))


async def test_file_in_place_of_the_link_is_not_a_live_version(root: Path) -> None:
    await install(root)
    (root / "live/web").unlink()
    (root / "live/web").write_text("")
    assert await apply_access(root, Owner(group=OTHER_GROUP)) == []
