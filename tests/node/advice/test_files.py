"""Remedies for files."""

import errno
import os

import pytest

from wellkeeper_node.advice import files as remedies


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        pytest.param(errno.EACCES, "Run the command with sudo, or as a user who may read it.", id="permission denied"),
        pytest.param(errno.ENOENT, "Correct the path, or create the file.", id="missing"),
        pytest.param(errno.EISDIR, "Name a file, not a directory.", id="a directory"),
        pytest.param(errno.ENOTDIR, "Correct the path: a part of it is not a directory.", id="path through a file"),
        pytest.param(errno.EIO, "Check the file system there.", id="other error"),
    ],
)
def test_remedy_for_reading_depends_on_the_error(number: int, remedy: str) -> None:
    assert remedies.of_reading(OSError(number, os.strerror(number))) == remedy


def test_unknown_write_error_points_to_the_file_system() -> None:
    assert (
        remedies.of_writing(OSError(errno.EIO, "")) == "Check the file system there, then run 'wellkeeper renew' again."
    )
