"""Tests of what to do about files."""

import errno
import os

import pytest

from wellkeeper_node.advice import files as remedies


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        pytest.param(errno.EACCES, "run as a user who may", id="somebody else's"),
        pytest.param(errno.ENOENT, "correct the path, or put the file there", id="not there"),
        pytest.param(errno.EISDIR, "name a file", id="a folder"),
        pytest.param(errno.ENOTDIR, "a part of the path is no folder: correct the path", id="below a file"),
        pytest.param(errno.EIO, "look at the file system there", id="anything else"),
    ],
)
def test_another_user_is_asked_for_only_where_rights_are_missing(number: int, remedy: str) -> None:
    assert remedies.of_reading(OSError(number, os.strerror(number))) == remedy


def test_a_write_that_fails_for_a_reason_that_nobody_foresaw_leads_to_the_file_system() -> None:
    assert remedies.of_writing(OSError(errno.EIO, "")) == "look at the file system there, then run renew again"
