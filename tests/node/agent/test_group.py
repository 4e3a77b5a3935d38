"""The group of the settings gets what is installed already."""

import grp
import os
import stat
from pathlib import Path

import pytest

from tests.fleet import PAIR
from wellkeeper_node.agent.build import apply_group
from wellkeeper_node.certificates.folders import CertificateFolders
from wellkeeper_node.settings import NodeSettings


def settings(folder: Path, group: str | None) -> NodeSettings:
    return NodeSettings("web2", ("10.0.0.1:8404",), certificates_dir=folder, certificates_group=group)


async def test_group_of_the_settings_may_read_installed_keys(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folders = CertificateFolders(folder)
    await folders.switch("web", await folders.write("web", PAIR))
    key = folder / "live/web/privkey.pem"
    await apply_group(settings(folder, None))
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    group = grp.getgrgid(os.getgid()).gr_name
    caplog.set_level("INFO")
    for _ in range(2):
        await apply_group(settings(folder, group))
    assert stat.S_IMODE(key.stat().st_mode) == 0o640
    assert caplog.text.count(f"gave the files of web to the group {group}") == 1


async def test_directory_that_cannot_be_read_is_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "archive").write_text("")
    (folder / "archive").unlink()
    (folder / "archive").mkdir()
    (folder / "archive/web").write_text("")
    (folder / "live").mkdir()
    (folder / "live/web").symlink_to("../archive/web/20260301T110000Z-0a0b0c0d")
    await apply_group(settings(folder, grp.getgrgid(os.getgid()).gr_name))
    assert "Not a directory" in caplog.text
