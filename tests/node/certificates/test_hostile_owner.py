"""An unprivileged owner of the certificates puts links, FIFOs and devices in root's way."""

import asyncio
import contextlib
import os
import pwd
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes_deliver import NOW, FakeCa, dns
from tests.unprivileged import shared_folder
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.certificates.layout import CHAIN_FILE, KEY_FILE
from wellkeeper_node.certificates.leaves import read_leaves
from wellkeeper_node.certificates.removal import delete_moved, move_away
from wellkeeper_node.errors import InstallError

pytestmark = pytest.mark.root

OWNER = 65534
SECONDS = 20


@pytest.fixture
def root() -> Iterator[Path]:
    with shared_folder() as folder:
        yield folder / "certificates"


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A directory of root with what a crash of a certificate's writer would leave."""
    folder = tmp_path / "precious"
    (folder / ".tmp-root").mkdir(parents=True, mode=0o700)
    (folder / ".tmp-root/file").write_text("content")
    folder.chmod(0o700)
    return folder


def folders(root: Path) -> CertificateFolders:
    return CertificateFolders(root, owner=OWNER)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


async def install(root: Path, *, day: int = 1) -> str:
    certificates = folders(root)
    version = await certificates.write("web", FakeCa(NOW + timedelta(days=day)).pair(dns("a.example")))
    await certificates.switch("web", version)
    return version


async def test_files_belong_to_the_owner(root: Path) -> None:
    version = await install(root)
    await install(root, day=2)
    assert owners(root) == {OWNER}
    assert (root / "archive/web" / version / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert (root / "archive/web" / version).stat().st_uid == OWNER


@pytest.mark.parametrize("place", ["archive", "archive/web", "live"])
async def test_link_into_a_directory_of_root_is_not_followed(root: Path, precious: Path, place: str) -> None:
    await install(root)
    before = names(precious)
    (root / place).rename(root / "away")
    (root / place).symlink_to(precious)
    with pytest.raises(InstallError):
        await install(root, day=2)
    with contextlib.suppress(InstallError):
        await move_away(root, "web")
        await delete_moved(root, "web")
    assert names(precious) == before


async def test_directory_that_its_owner_cannot_enter_is_refused_with_the_remedy(root: Path, precious: Path) -> None:
    """The owner has an open descriptor of the archive, and needs no path to it."""
    await install(root)
    (root / "archive/web").rename(root / "away")
    (root / "archive/web").symlink_to(precious)
    before = names(precious)
    root.parent.chmod(0o710)
    with pytest.raises(InstallError) as raised:
        await install(root, day=2)
    assert raised.value.lines == (
        f"cannot use {root}",
        f"user {pwd.getpwuid(OWNER).pw_name} cannot enter {root.parent}",
        f"Run 'chmod o+x {root.parent}'.",
    )
    assert names(precious) == before


@pytest.mark.parametrize("place", [".", "archive", "archive/web"])
async def test_race_for_an_unfinished_directory_is_lost(root: Path, precious: Path, place: str) -> None:
    """The attacker, who owns only this directory, replaces all unfinished directories by links while root writes."""
    await install(root)
    await asyncio.to_thread(give_only, root, root / place)
    stopping = threading.Event()

    def attack() -> None:
        while not stopping.is_set():
            for path in (root / "archive/web").glob(".tmp-*"):
                try:
                    path.rename(path.with_name(f"away-{os.urandom(4).hex()}"))
                    path.symlink_to(precious)
                except OSError:
                    pass

    attacker = threading.Thread(target=attack)
    attacker.start()
    try:
        for day in range(2, 12):
            try:
                await install(root, day=day)
            except InstallError:
                continue
    finally:
        stopping.set()
        attacker.join()
    assert names(precious) == [".tmp-root", ".tmp-root/file"]


def give_only(root: Path, place: Path) -> None:
    """Make root the owner of everything except what is in this directory."""
    for path in (root, *root.rglob("*")):
        if not path.is_relative_to(place):
            os.chown(path, 0, 0, follow_symlinks=False)


async def test_directory_above_is_replaced_by_a_link_while_root_writes(root: Path, precious: Path) -> None:
    """A user has a directory of root in their own one."""
    home = root / "home"
    home.mkdir(parents=True)
    os.chown(home, OWNER, OWNER)
    (home / "certificates").symlink_to(precious)
    before = names(precious)
    for certificates in (CertificateFolders(home / "certificates"), CertificateFolders(home / "certificates/below")):
        with pytest.raises(InstallError, match="Permission denied"):
            await certificates.write("web", FakeCa().pair(dns("a.example")))
    assert names(precious) == before


async def test_owner_of_another_user_is_not_kept_where_only_root_could_give_it(root: Path) -> None:
    """The files of this directory are written with the rights of its owner."""
    version = await install(root)
    os.chown(root / "archive/web" / version / KEY_FILE, 1, 1)
    certificates = CertificateFolders(root)
    await certificates.write("web", FakeCa(NOW + timedelta(days=2)).pair(dns("a.example")))
    assert {path.stat().st_uid for path in (root / "archive/web").rglob(KEY_FILE)} == {1, OWNER}


@pytest.mark.parametrize("kind", ["fifo", "device", "link"])
@pytest.mark.parametrize("name", [CHAIN_FILE, KEY_FILE])
async def test_file_of_another_kind_is_not_read(root: Path, precious: Path, name: str, kind: str) -> None:
    version = await install(root)
    path = root / "archive/web" / version / name
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else precious / ".tmp-root/file")
    async with asyncio.timeout(SECONDS):
        assert await folders(root).read_pair("web") is None
        leaves = await read_leaves(root, {"web": version})
    assert ("web" in leaves) == (name == KEY_FILE)


async def test_thread_is_root_again_afterwards(root: Path, precious: Path) -> None:
    await install(root)
    assert (precious / ".tmp-root/file").read_text() == "content"
    assert await asyncio.to_thread((precious / ".tmp-root/file").read_text) == "content"
