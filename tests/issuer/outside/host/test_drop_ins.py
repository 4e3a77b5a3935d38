"""Drop-ins on disk."""

import stat
from pathlib import Path

import pytest

from wellkeeper_issuer.errors import SettingsError
from wellkeeper_issuer.outside.host.drop_ins import drop_in_path, remove_drop_in, write_drop_in


def test_drop_in_is_world_readable_and_leaves_no_other_file(folder: Path) -> None:
    path = drop_in_path(folder / "issuer.d", "a.example")
    write_drop_in(path, "text ü")
    assert path == folder / "issuer.d/a.example.toml"
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("text ü", 0o644)
    assert [one.name for one in path.parent.iterdir()] == ["a.example.toml"]


def test_leftover_of_a_crash_is_replaced(folder: Path) -> None:
    (folder / ".a.toml.tmp").write_text("half")
    write_drop_in(folder / "a.toml", "whole")
    assert [(one.name, one.read_text()) for one in folder.iterdir()] == [("a.toml", "whole")]


def test_existing_file_is_not_replaced(folder: Path) -> None:
    (folder / "a.toml").write_text("other")
    with pytest.raises(SettingsError, match=r"cannot create .*/a\.toml: the file already exists"):
        write_drop_in(folder / "a.toml", "text")
    assert [(one.name, one.read_text()) for one in folder.iterdir()] == [("a.toml", "other")]


def test_longest_name_fits_into_a_file_name(folder: Path) -> None:
    write_drop_in(drop_in_path(folder, "a" * 253), "text")
    assert [one.read_text() for one in folder.iterdir()] == ["text"]


def test_unwritable_directory_is_reported() -> None:
    with pytest.raises(
        SettingsError, match=r"cannot change /dev/null: File exists\. Run the command with sudo, or as the owner of"
    ):
        write_drop_in(Path("/dev/null/issuer.d/a.toml"), "text")


def test_drop_in_can_be_removed_once(folder: Path) -> None:
    (folder / "a.toml").write_text("")
    remove_drop_in(folder / "a.toml")
    assert list(folder.iterdir()) == []
    with pytest.raises(SettingsError, match=r"cannot change .*/a\.toml: No such file or directory"):
        remove_drop_in(folder / "a.toml")
