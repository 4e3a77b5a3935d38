"""CSR files: read unchanged, or refused with the remedy."""

from pathlib import Path

import pytest

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.host.csr_files import CsrFolder


async def test_file_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "web.csr"
    for content in (b"one", b"two"):
        path.write_bytes(content)
        assert await CsrFolder().read_csr(str(path)) == content


async def test_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"web\.csr': No such file or directory\. Put the CSR there"):
        await CsrFolder().read_csr(str(tmp_path / "web.csr"))


async def test_non_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "web.csr"
    path.write_bytes(b"x" * 100_000)
    with pytest.raises(SettingsError, match="is too long: it has more than 65536 bytes"):
        await CsrFolder().read_csr(str(path))
