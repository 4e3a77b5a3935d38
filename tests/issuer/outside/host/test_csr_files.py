"""CSR files: read unchanged, or refused with the remedy."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.host.csr_files import CsrFolder

SECONDS = 20


async def test_file_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "web.csr"
    for content in (b"one", b"two"):
        path.write_bytes(content)
        assert await CsrFolder().read_csr(str(path)) == content


async def test_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"web\.csr': No such file or directory\. Put the CSR there"):
        await CsrFolder().read_csr(str(tmp_path / "web.csr"))


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
async def test_file_of_another_kind_is_not_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "web.csr")
    async with asyncio.timeout(SECONDS):
        with pytest.raises(SettingsError, match=r"cannot use csr = .*: web\.csr is not a regular file"):
            await CsrFolder().read_csr(str(tmp_path / "web.csr"))


async def test_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"csr")
    (tmp_path / "web.csr").symlink_to("file")
    assert await CsrFolder().read_csr(str(tmp_path / "web.csr")) == b"csr"


async def test_long_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "web.csr"
    path.write_bytes(b"x" * 100_000)
    with pytest.raises(SettingsError, match="is too long: it has more than 65536 bytes"):
        await CsrFolder().read_csr(str(path))
