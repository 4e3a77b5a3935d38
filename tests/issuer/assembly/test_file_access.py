"""certificates_owner and certificates_group are applied to what is installed already."""

import grp
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes_deliver import FakeCa, dns
from tests.unprivileged import UNPRIVILEGED_ID, shared_folder
from wellkeeper_issuer.assembly.build import apply_file_access
from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings import Settings
from wellkeeper_node.certificates.folders import CertificateFolders

GROUP = grp.getgrgid(UNPRIVILEGED_ID).gr_name


@pytest.fixture
def root() -> Iterator[Path]:
    with shared_folder() as folder:
        folder.chmod(0o755)
        yield folder / "certificates"


def given(root: Path, **more: str) -> Settings:
    return Settings.model_validate({"certificates_dir": str(root), **more})


async def install(root: Path) -> Path:
    folders = CertificateFolders(root)
    await folders.switch("web", await folders.write("web", FakeCa().pair(dns("a.example"))))
    return root / "live/web/privkey.pem"


@pytest.mark.root
async def test_group_of_the_settings_is_given_and_logged_once(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = await install(root)
    settings = given(root, certificates_group=GROUP)
    with caplog.at_level(logging.INFO):
        await apply_file_access(settings)
        await apply_file_access(settings)
    assert key.stat().st_gid == UNPRIVILEGED_ID
    assert caplog.text.count(f"gave the files of web to the group {GROUP}") == 1


async def test_nothing_is_changed_without_these_settings(root: Path) -> None:
    key = await install(root)
    await apply_file_access(given(root))
    assert key.stat().st_mode & 0o777 == 0o600


@pytest.mark.root
async def test_files_that_cannot_be_given_are_logged_and_stop_nothing(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await install(root)
    (root / "archive").chmod(0o777)
    await apply_file_access(given(root, certificates_owner="nobody"))
    assert "cannot give 'archive' to certificates_owner" in caplog.text


async def test_group_that_does_not_exist_is_an_error_of_the_settings(root: Path) -> None:
    with pytest.raises(SettingsError, match="certificates_group"):
        await apply_file_access(given(root, certificates_group="none-such"))
