"""The number of a lineage's newest version, beside the versions in the archive: durable, and never lower."""

from pathlib import Path

import pytest

from tests.fleet import PAIR, version
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_node.bundles.numbers import read_newest, record_newest
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.errors import InstallError


@pytest.fixture
async def root(folder: Path) -> Path:
    folders = CertificateFolders(folder)
    await folders.switch("web", await folders.write("web", PAIR))
    return folder


async def test_newest_version_is_read_back(root: Path) -> None:
    assert await read_newest(root, "web") is None
    assert await read_newest(root / "none", "web") is None
    await record_newest(root, "web", version(7))
    assert await read_newest(root, "web") == version(7)
    assert (root / "archive/web/.number").read_text() == "7 20260301T110000Z-0123abcd\n"


async def test_only_a_higher_number_replaces_it(root: Path) -> None:
    for number, digest in ((7, "0123abcd"), (7, "ffffffff"), (6, "ffffffff")):
        await record_newest(root, "web", version(number, digest))
        assert await read_newest(root, "web") == version(7)
    await record_newest(root, "web", version(8, "ffffffff"))
    assert await read_newest(root, "web") == version(8, "ffffffff")


async def test_versions_are_used_and_removed_as_before(root: Path) -> None:
    folders = CertificateFolders(root)
    await record_newest(root, "web", version(7))
    (only,) = await folders.versions("web")
    assert await folders.write("web", PAIR) == only
    await folders.switch("web", None)
    await folders.remove_versions("web", [only])
    assert await folders.versions("web") == []
    assert await read_newest(root, "web") == version(7)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"7",
        b"x 20260301T110000Z-0123abcd",
        b"0 20260301T110000Z-0123abcd",
        b"7 ../web",
        b"\xff",
        b"9" * 5000,
        b"1 2 3",
    ],
    ids=lambda content: ascii(content)[:20],
)
async def test_damaged_number_counts_as_none_and_is_replaced(root: Path, content: bytes) -> None:
    (root / "archive/web/.number").write_bytes(content)
    assert await read_newest(root, "web") is None
    await record_newest(root, "web", version())
    assert await read_newest(root, "web") == version()


async def test_link_in_place_of_the_number_is_not_followed(root: Path) -> None:
    (root / "secret").write_text("42 20260301T110000Z-0123abcd")
    (root / "archive/web/.number").symlink_to(root / "secret")
    assert await read_newest(root, "web") is None
    await record_newest(root, "web", version())
    assert (root / "secret").read_text().startswith("42 ")


async def test_number_of_a_missing_lineage_is_not_recorded(root: Path) -> None:
    with pytest.raises(InstallError, match="No such file or directory"):
        await record_newest(root, "mail", version())


async def test_number_that_cannot_be_read_is_an_error() -> None:
    """Counting it as none would let numbers fall."""
    with shared_folder() as place:
        folder = place / "archive/web"
        folder.mkdir(parents=True)
        (folder / ".number").touch(0o000)
        with as_unprivileged_user(), pytest.raises(InstallError, match="Permission denied"):
            await read_newest(place, "web")
