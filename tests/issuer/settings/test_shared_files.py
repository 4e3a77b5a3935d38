"""Settings that other users may change are refused: hooks would run what they wrote."""

import logging
from pathlib import Path

import pytest

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.settings import read_settings


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir(0o755)
    (folder / "issuer.d").mkdir(0o755)
    (folder / "issuer.d/a.toml").write_text("[[certificates]]\nidentifiers = ['a.example']\n")
    main = folder / "issuer.toml"
    main.write_text("[notifications]\nwebhook = 'https://hooks.example/secret'\n")
    for file in (main, folder / "issuer.d/a.toml"):
        file.chmod(0o600)
    return main


@pytest.mark.parametrize(
    ("shared", "mode"),
    [
        ("issuer.toml", 0o666),
        ("issuer.toml", 0o620),
        (".", 0o777),
        ("issuer.d", 0o775),
        ("issuer.d/a.toml", 0o646),
    ],
)
def test_file_or_directory_that_others_may_write_is_refused(path: Path, shared: str, mode: int) -> None:
    place = path.parent / shared
    place.chmod(mode)
    with pytest.raises(SettingsError) as refused:
        read_settings(path)
    assert refused.value.what.startswith(f"cannot trust {path.parent}")
    assert f" may write to {place} (mode {mode:04o})" in refused.value.why
    assert refused.value.remedy == f"Run 'chmod go-w {place}'."


def test_drop_in_that_is_a_link_into_a_shared_directory_is_refused(path: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "b.toml").write_text("")
    (path.parent / "issuer.d/b.toml").symlink_to(shared / "b.toml")
    read_settings(path)
    shared.chmod(0o777)
    with pytest.raises(SettingsError, match=f"every user may write to {shared}"):
        read_settings(path)


@pytest.mark.parametrize(("mode", "warnings"), [(0o600, 0), (0o640, 0), (0o644, 1)])
def test_secret_that_every_user_may_read_is_warned_about(
    path: Path, mode: int, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    path.chmod(mode)
    with caplog.at_level(logging.WARNING):
        read_settings(path)
    assert len(caplog.records) == warnings
    if warnings:
        assert f"run 'chmod o= {path}'" in caplog.text
    path.chmod(0o644)
    path.write_text("")
    caplog.clear()
    read_settings(path)
    assert caplog.records == []
