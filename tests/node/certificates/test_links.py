"""Links and directories that can be made, and leftovers in the way."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.errors import InstallError
from wellkeeper_node.model import MAX_LINEAGE_NAME

PAIR: Final = FakeCa().pair(dns("a.example"))
OTHER: Final = FakeCa().pair(dns("a.example"))
LEFTOVERS: Final[dict[str, Callable[[Path], object]]] = {
    "a directory": lambda path: path.mkdir(),
    "a directory with files": lambda path: (path / "inside/deeper").mkdir(parents=True),
    "a file": lambda path: path.touch(),
    "a dangling link": lambda path: path.symlink_to("nowhere"),
    "a link to a directory": lambda path: path.symlink_to("/etc"),
}


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.mark.parametrize("make", LEFTOVERS.values(), ids=LEFTOVERS)
async def test_leftover_of_any_kind_does_not_keep_a_version_from_being_made_live(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    folders = CertificateFolders(tmp_path)
    await folders.switch("web", await folders.write("web", PAIR))
    before = everything(tmp_path)
    make(tmp_path / "live/.tmp-web")
    make(tmp_path / "archive/web/.tmp-20260301T110000Z-deadbeef")
    await folders.prove("web")
    version = await folders.write("web", OTHER)
    await folders.switch("web", version)
    assert (tmp_path / "live/web").readlink().name == version
    assert not any(".tmp-" in name for name in everything(tmp_path))
    assert set(before) < set(everything(tmp_path))


@pytest.mark.parametrize("is_installed", [True, False])
async def test_proof_leaves_everything_as_it_is(tmp_path: Path, is_installed: bool) -> None:
    folders = CertificateFolders(tmp_path / "certificates")
    if is_installed:
        await folders.switch("web", await folders.write("web", PAIR))
    before = everything(tmp_path)
    await folders.prove("web")
    assert [name for name in everything(tmp_path) if not name.endswith(".lock")] == [
        name for name in before if not name.endswith(".lock")
    ]


@pytest.mark.parametrize("place", ["live", "archive/web", "archive", "."])
async def test_proof_fails_where_nothing_can_be_made(place: str) -> None:
    with shared_folder() as folder:
        root = folder / "certificates"
        folders = CertificateFolders(root)
        await folders.switch("web", await folders.write("web", PAIR))
        lineage = "new" if place == "archive" else "web"
        if place == ".":
            shutil.rmtree(root / "archive")
        for path in (root, *root.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o777)
        (root / ".lock").chmod(0o666)
        (root / place).chmod(0o555)
        with as_unprivileged_user(), pytest.raises(InstallError, match=f"cannot use {(root / place)}"):
            await folders.prove(lineage)
        await folders.prove(lineage)


@pytest.mark.parametrize("kind", ["directory", "foreign link"])
async def test_proof_fails_where_something_else_is_live(tmp_path: Path, kind: str) -> None:
    (tmp_path / "live").mkdir()
    place = tmp_path / "live/web"
    if kind == "directory":
        place.mkdir()
    else:
        place.symlink_to("/etc/ssl")
    with pytest.raises(InstallError, match="live/web"):
        await CertificateFolders(tmp_path).prove("web")


async def test_longest_name_can_be_proved_written_and_made_live(tmp_path: Path) -> None:
    name, folders = "a" * MAX_LINEAGE_NAME, CertificateFolders(tmp_path)
    for _ in range(2):
        await folders.prove(name)
        await folders.switch(name, await folders.write(name, PAIR))
    assert await folders.installed(name) is not None
    with pytest.raises(InstallError, match="is not a valid certificate name"):
        await folders.prove(f"{name}a")
