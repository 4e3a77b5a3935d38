"""Certificates that nodes must not keep: disowned ones, those of stopped roll-outs, and none that has expired."""

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest

from tests.fakes import FakeClock
from tests.issuer.fleet.issuers import Issuer
from wellkeeper_issuer.outside.archive import ArchiveFolder
from wellkeeper_node.errors import InstallError

DAY: Final = 24 * 3600


@pytest.fixture
def issuer(folder: Path, clock: FakeClock) -> Issuer:
    return Issuer(folder, clock)


async def _leaf(issuer: Issuer) -> str:
    return (await issuer.manifest()).lineages["web"].leaf_sha256


async def test_disowned_version_is_named_to_nodes_once_there_is_another(issuer: Issuer) -> None:
    await issuer.install()
    await issuer.distribution.refresh(["web"])
    stolen = await _leaf(issuer)
    await issuer.certificates.disown_all("web")
    await issuer.distribution.refresh(["web"])
    assert (await _leaf(issuer), (await issuer.manifest()).disown) == (stolen, {})
    await issuer.install()
    await issuer.distribution.offer("web")
    assert (await issuer.manifest()).disown == {"web": frozenset({stolen})}


async def test_nodes_never_go_back_to_a_disowned_version(issuer: Issuer) -> None:
    for _ in range(2):
        await issuer.install()
        await issuer.distribution.offer("web")
    await issuer.certificates.disown_all("web")
    await issuer.install()
    await issuer.distribution.offer("web")
    before = await issuer.listed()
    assert not await issuer.distribution.go_back("web")
    assert await issuer.listed() == before


async def test_disowned_leaves_that_expired_are_no_longer_named(issuer: Issuer, clock: FakeClock) -> None:
    for _ in range(2):
        await issuer.install()
        await issuer.distribution.offer("web")
    await issuer.certificates.disown_all("web")
    await issuer.install()
    await issuer.distribution.offer("web")
    assert len((await issuer.manifest()).disown["web"]) == 2
    clock.advance(100 * DAY)
    issuer.ca.now = clock.now()
    await issuer.install()
    await issuer.start().refresh(["web"])
    assert (await issuer.manifest()).disown == {}


async def test_version_that_is_gone_is_named_as_long_as_it_may_be_valid(issuer: Issuer, clock: FakeClock) -> None:
    version = await issuer.install()
    await issuer.certificates.disown_all("web")
    await issuer.install()
    await issuer.certificates.remove_versions("web", [version])
    for days, count in ((399, 1), (401, 0)):
        for mark in (issuer.folder / "certificates/archive/web").glob(".revoked-*"):
            at = clock.now().timestamp() - days * DAY
            os.utime(mark, (at, at))
        await issuer.distribution.refresh(["web"])
        assert len((await issuer.manifest()).disown.get("web", ())) == count


class Damaged(ArchiveFolder):
    """An archive whose marks cannot be read."""

    async def unwanted(self, lineage: str, now: datetime) -> frozenset[str]:
        raise InstallError(f"cannot read archive/{lineage}", f"Input/output error at {now}")


async def test_archive_that_cannot_be_read_keeps_what_was_named(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    await issuer.install()
    await issuer.distribution.refresh(["web"])
    before = await issuer.manifest()

    archive = Damaged(issuer.folder / "certificates")
    issuer.distribution.disk = replace(issuer.distribution.disk, archive=archive)
    await issuer.distribution.refresh(["web"])
    assert await issuer.manifest() == before
    assert (
        "cannot find out which versions of web are unwanted, so nodes keep them: cannot read archive/web" in caplog.text
    )
