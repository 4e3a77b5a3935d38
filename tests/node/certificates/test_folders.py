"""Certificates on disk: layout, modes, leftovers of crashes, names."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes_deliver import NOW, FakeCa, dns
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.errors import InstallError
from wellkeeper_node.model import Pair

A = dns("a.example")
CA = FakeCa()


def renewals(count: int) -> list[Pair]:
    """Return one certificate per day."""
    return [FakeCa(NOW + timedelta(days=day)).pair(A) for day in range(count)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "certificates"


@pytest.fixture
def folders(root: Path) -> CertificateFolders:
    return CertificateFolders(root)


def exists(path: Path) -> bool:
    return path.exists()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


async def test_version_holds_the_usual_four_files(folders: CertificateFolders, root: Path) -> None:
    pair = CA.pair(A)
    version = await folders.write("web", pair)
    folder = root / "archive/web" / version
    assert sorted(path.name for path in folder.iterdir()) == ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"]
    assert (folder / "fullchain.pem").read_bytes() == pair.chain_pem
    assert (folder / "privkey.pem").read_bytes() == pair.certificate_key_pem
    assert (folder / "cert.pem").read_bytes() + (folder / "chain.pem").read_bytes() == pair.chain_pem


async def test_version_is_named_after_time_and_fingerprint(folders: CertificateFolders) -> None:
    pair = CA.pair(A)
    fingerprint = reading.read_certificate(pair.chain_pem).fingerprint_sha256
    assert await folders.write("web", pair) == f"20260301T110000Z-{fingerprint[:8]}"


async def test_live_is_one_relative_link(folders: CertificateFolders, root: Path) -> None:
    version = await folders.write("web", CA.pair(A))
    assert await folders.switch("web", version) is None
    assert (root / "live/web").readlink() == Path("../archive/web", version)
    assert folders.live_path("web") == f"{root}/live/web"
    assert sorted(path.name for path in (root / "live").iterdir()) == ["web"]


async def test_switch_returns_the_previous_version_and_can_remove_the_link(
    folders: CertificateFolders, root: Path
) -> None:
    one, two = [await folders.write("web", pair) for pair in renewals(2)]
    assert [await folders.switch("web", version) for version in (one, two, two, one, None, None)] == [
        None, one, two, two, one, None,
    ]  # fmt: skip
    assert not (root / "live/web").is_symlink()


async def test_installed_describes_the_live_pair(folders: CertificateFolders) -> None:
    assert await folders.installed("web") is None
    pair = CA.pair(A)
    version = await folders.write("web", pair)
    assert await folders.installed("web") is None
    await folders.switch("web", version)
    installed = await folders.installed("web")
    assert installed is not None
    assert (installed.version, installed.certificate) == (version, reading.read_certificate(pair.chain_pem))


@pytest.mark.parametrize(
    "damage", ["no key", "empty key", "no directory", "garbage", "foreign key", "cut chain", "leaf alone"]
)
async def test_unusable_pair_counts_as_not_installed(folders: CertificateFolders, root: Path, damage: str) -> None:
    await folders.switch("web", await folders.write("web", CA.pair(A)))
    folder = (root / "live/web").resolve()
    match damage:
        case "no key":
            (folder / "privkey.pem").unlink()
        case "no directory":
            folder.rename(root / "elsewhere")
        case "garbage":
            (folder / "fullchain.pem").write_text("garbage")
        case "empty key":
            (folder / "privkey.pem").write_bytes(b"")
        case "cut chain":
            (folder / "fullchain.pem").write_bytes((folder / "fullchain.pem").read_bytes()[:-100])
        case "leaf alone":
            (folder / "fullchain.pem").write_bytes((folder / "cert.pem").read_bytes())
        case _:
            (folder / "privkey.pem").write_bytes(CA.pair(A).certificate_key_pem)
    assert await folders.installed("web") is None


async def test_chain_that_is_cut_short_is_put_together_again_and_written_beside(
    folders: CertificateFolders, root: Path
) -> None:
    pair = CA.pair(A)
    version = await folders.write("web", pair)
    await folders.switch("web", version)
    (root / "live/web/fullchain.pem").write_bytes(pair.chain_pem[:300])
    restored = await folders.restore("web", lambda _: True)
    assert restored is not None
    assert restored.version == f"{version}-1"
    assert await folders.read_pair("web") == pair


@pytest.mark.parametrize("name", ["cert.pem", "chain.pem", "privkey.pem"])
async def test_version_that_has_lost_too_much_is_not_restored(
    folders: CertificateFolders, root: Path, name: str
) -> None:
    pair = CA.pair(A)
    await folders.switch("web", await folders.write("web", pair))
    (root / "live/web/fullchain.pem").write_bytes(pair.chain_pem[:300])
    path = root / "live/web" / name
    path.write_bytes(path.read_bytes()[:-100])
    assert await folders.restore("web", lambda _: True) is None


async def test_chain_whose_copy_is_gone_is_usable(folders: CertificateFolders, root: Path) -> None:
    await folders.switch("web", await folders.write("web", CA.pair(A)))
    (root / "live/web/chain.pem").unlink()
    assert await folders.installed("web") is not None


async def test_equal_pair_is_not_written_again(folders: CertificateFolders, root: Path) -> None:
    pair = CA.pair(A)
    version = await folders.write("web", pair)
    inode = (root / "archive/web" / version / "privkey.pem").stat().st_ino
    assert await folders.write("web", pair) == version
    assert (root / "archive/web" / version / "privkey.pem").stat().st_ino == inode


async def test_damaged_version_is_kept_and_the_pair_written_beside_it(folders: CertificateFolders, root: Path) -> None:
    pair = CA.pair(A)
    version = await folders.write("web", pair)
    (root / "archive/web" / version / "chain.pem").write_text("shortened")
    assert await folders.write("web", pair) == f"{version}-1"
    assert await folders.write("web", pair) == f"{version}-1"
    assert await folders.switch("web", f"{version}-1") is None


async def test_without_a_group_only_the_owner_may_read_keys(folders: CertificateFolders, root: Path) -> None:
    version = await folders.write("web", CA.pair(A))
    await folders.switch("web", version)
    folder = root / "archive/web" / version
    assert [mode(path) for path in (root, root / "live", root / "archive")] == [0o755] * 3
    assert [mode(path) for path in (folder.parent, folder)] == [0o700] * 2
    assert (mode(folder / "privkey.pem"), mode(folder / "fullchain.pem")) == (0o600, 0o644)


async def test_with_a_group_its_members_may_read(root: Path) -> None:
    group = os.getgroups()[-1] if os.getgroups() else os.getgid()
    version = await CertificateFolders(root, group=group).write("web", CA.pair(A))
    folder = root / "archive/web" / version
    assert [mode(path) for path in (folder.parent, folder)] == [0o750] * 2
    assert mode(folder / "privkey.pem") == 0o640
    assert (folder / "privkey.pem").stat().st_gid == group


async def test_modes_do_not_depend_on_the_umask(root: Path) -> None:
    before = os.umask(0o777)
    try:
        version = await CertificateFolders(root, group=os.getgid()).write("web", CA.pair(A))
    finally:
        os.umask(before)
    folder = root / "archive/web" / version
    assert (mode(root), mode(folder), mode(folder / "fullchain.pem")) == (0o755, 0o750, 0o644)


async def test_leftovers_of_a_crash_are_replaced(folders: CertificateFolders, root: Path) -> None:
    pair = CA.pair(A)
    version = await folders.write("web", pair)
    archive = root / "archive/web"
    (archive / version).rename(archive / f".tmp-{version}")
    (archive / f".tmp-{version}" / "privkey.pem").write_text("half a ke")
    (root / "live").mkdir(exist_ok=True)
    (root / "live/.tmp-web").symlink_to("nowhere")
    assert await folders.write("web", pair) == version
    await folders.switch("web", version)
    assert [path.name for path in archive.iterdir()] == [version]
    assert [path.name for path in (root / "live").iterdir()] == ["web"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a..b", ".hidden", "A", "a\n", "ä", "a\0"])
async def test_names_that_could_leave_the_directory_are_refused(
    folders: CertificateFolders, root: Path, name: str
) -> None:
    with pytest.raises(InstallError, match="is not a valid certificate name"):
        await folders.write(name, CA.pair(A))
    with pytest.raises(InstallError, match="is not a valid certificate name"):
        await folders.switch(name, None)
    assert not exists(root)


@pytest.mark.parametrize("version", ["../../x", "", ".", "20260301T110000Z-deadbeef"])
async def test_switch_refuses_an_unknown_version(folders: CertificateFolders, version: str) -> None:
    await folders.write("web", CA.pair(A))
    with pytest.raises(InstallError, match="does not have version"):
        await folders.switch("web", version)


async def test_mismatched_pair_is_never_written(folders: CertificateFolders, root: Path) -> None:
    with pytest.raises(InstallError, match="the key does not match the certificate"):
        await folders.write("web", Pair(CA.pair(A).certificate_key_pem, CA.pair(A).chain_pem))
    with pytest.raises(InstallError, match="not PEM"):
        await folders.write("web", Pair(b"key", CA.pair(A).chain_pem))
    assert not exists(root)


@pytest.mark.parametrize("kind", ["directory", "file", "foreign link"])
async def test_foreign_file_in_place_of_the_link_is_not_touched(
    folders: CertificateFolders, root: Path, kind: str
) -> None:
    version = await folders.write("web", CA.pair(A))
    place = root / "live/web"
    place.parent.mkdir()
    match kind:
        case "directory":
            place.mkdir()
        case "file":
            place.touch()
        case _:
            place.symlink_to("/etc/ssl")
    with pytest.raises(InstallError, match=r"live/web (is not a symbolic link|points to /etc/ssl)"):
        await folders.switch("web", version)
    with pytest.raises(InstallError):
        await folders.installed("web")
    assert place.is_symlink() is (kind == "foreign link")


async def test_file_in_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "certificates").touch()
    with pytest.raises(InstallError, match=rf"cannot use {tmp_path}/certificates.*Move it away"):
        await CertificateFolders(tmp_path / "certificates").write("web", CA.pair(A))


async def test_cancelled_write_is_completed(folders: CertificateFolders, root: Path) -> None:
    task = asyncio.ensure_future(folders.write("web", CA.pair(A)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (version,) = (root / "archive/web").iterdir()
    assert sum(1 for _ in version.iterdir()) == 4
    assert await folders.switch("web", version.name) is None


async def test_concurrent_writers_do_not_conflict(root: Path) -> None:
    pairs = renewals(4)
    writers = [CertificateFolders(root).write("web", pair) for pair in pairs * 2]
    versions = await asyncio.gather(*writers)
    assert versions[:4] == versions[4:]
    assert sorted(path.name for path in (root / "archive/web").iterdir()) == sorted(set(versions))


async def test_files_of_all_versions_belong_to_their_lineage_only(tmp_path: Path) -> None:
    folders = CertificateFolders(tmp_path)
    first, second = renewals(2)
    for pair in (first, second):
        version = await folders.write("web", pair)
        assert f"{tmp_path}/archive/web/{version}/fullchain.pem".startswith(folders.own_prefixes("web"))
        assert not f"{tmp_path}/archive/web/{version}/fullchain.pem".startswith(folders.own_prefixes("mail"))
    assert not f"{tmp_path}/archive/web.example/{version}/fullchain.pem".startswith(folders.own_prefixes("web"))
