"""Access control lists that cannot be read."""

from pathlib import Path

import pytest

from wellkeeper_node import acls


def test_list_of_a_missing_file_is_an_error_and_a_file_without_one_has_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert acls.read(tmp_path / "file") is None
    with pytest.raises(FileNotFoundError):
        acls.read(tmp_path / "missing")
