"""Live versions of all lineages, read from their links."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes_deliver import FakeCa, dns
from wellkeeper_node.certificates import reading
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.certificates.leaves import read_chain, read_leaves
from wellkeeper_node.certificates.live import LiveFolder
from wellkeeper_node.errors import InstallError

A = dns("a.example")
CA = FakeCa()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "certificates"


@pytest.fixture
def folders(root: Path) -> CertificateFolders:
    return CertificateFolders(root)


async def test_live_versions_are_read_from_valid_links_only(folders: CertificateFolders, root: Path) -> None:
    assert await LiveFolder(root).versions() == {}
    versions = {name: await folders.write(name, CA.pair(A)) for name in ("web", "mail", "gone", "off")}
    for name in ("web", "mail", "gone"):
        await folders.switch(name, versions[name])
    (root / "archive/gone" / versions["gone"] / "fullchain.pem").unlink()
    (root / "live/elsewhere").symlink_to("/etc")
    (root / "live/other").symlink_to(f"../archive/web/{versions['web']}")
    (root / "live/.tmp-web").symlink_to(f"../archive/web/{versions['web']}")
    (root / "live/folder").mkdir()
    (root / "live/README").write_text("by hand")
    assert await LiveFolder(root).versions() == {"web": versions["web"], "mail": versions["mail"]}


@pytest.mark.parametrize("name", ["fullchain.pem", "privkey.pem"])
@pytest.mark.parametrize("is_there", [True, False], ids=["empty", "missing"])
async def test_version_without_chain_or_key_is_left_out(
    folders: CertificateFolders, root: Path, name: str, is_there: bool
) -> None:
    await folders.switch("web", await folders.write("web", CA.pair(A)))
    (root / "live/web" / name).unlink()
    if is_there:
        (root / "live/web" / name).touch()
    assert await LiveFolder(root).versions() == {}


async def test_version_whose_key_stays_elsewhere_is_complete(folders: CertificateFolders, root: Path) -> None:
    version = await folders.write("web", replace(CA.pair(A), certificate_key_pem=b""))
    await folders.switch("web", version)
    assert await LiveFolder(root).versions() == {"web": version}


async def test_leaves_are_read_except_damaged_ones(
    folders: CertificateFolders, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pair = CA.pair(A)
    versions = {name: await folders.write(name, pair) for name in ("web", "spoilt", "gone")}
    (root / "archive/spoilt" / versions["spoilt"] / "fullchain.pem").write_text("garbage")
    (root / "archive/gone" / versions["gone"] / "fullchain.pem").unlink()
    assert await read_leaves(root, versions) == {"web": reading.read_certificate(pair.chain_pem)}
    assert caplog.text.count("cannot read the certificate") == 2


def test_file_in_place_of_the_live_directory_is_reported(root: Path) -> None:
    root.mkdir()
    (root / "live").write_text("")
    with pytest.raises(InstallError, match="Move it away: it is not a directory"):
        asyncio.run(LiveFolder(root).versions())


async def test_chain_is_read_with_the_names_of_its_subjects(root: Path) -> None:
    pair = CA.pair(A)
    version = await CertificateFolders(root).write("web", pair)
    leaf, *others = read_chain(root, "web", version)
    assert leaf.subject == str(A)
    assert leaf.certificate == reading.read_certificate(pair.chain_pem)
    assert [one.subject for one in others] == ["Fake Intermediate"]


@pytest.mark.parametrize("content", [None, b"no chain"], ids=["missing", "damaged"])
async def test_chain_that_cannot_be_read_is_empty(root: Path, content: bytes | None) -> None:
    if content is not None:
        folder = root / "archive/web/1"
        folder.mkdir(parents=True)
        (folder / "fullchain.pem").write_bytes(content)
    assert list(read_chain(root, "web", "1")) == []
