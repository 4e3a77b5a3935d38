"""Rights of the user who owns a directory, for one thread and a while."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unprivileged import shared_folder
from wellkeeper_node import rights
from wellkeeper_node.process import run

WITHOUT_PASSWD_ENTRY = 54_321
WITHOUT_SETUID = ("setpriv", "--bounding-set", "-setuid", "--inh-caps", "-setuid")
PROGRAM = """
import sys
from pathlib import Path
from wellkeeper_node import rights
try:
    with rights.of_owner(Path(sys.argv[1])):
        print("entered")
except PermissionError as error:
    print(error.strerror)
"""


@pytest.fixture
def owned() -> Iterator[Path]:
    """Yield a directory of another user, if we are root."""
    with shared_folder() as shared:
        folder = shared / "owned"
        folder.mkdir()
        if os.geteuid() == 0:
            os.chown(folder, WITHOUT_PASSWD_ENTRY, 0)
        yield folder


def test_new_files_get_user_and_group_of_the_owner(owned: Path) -> None:
    with rights.of_owner(owned):
        (owned / "file").touch()
    found = (owned / "file").stat()
    expected = WITHOUT_PASSWD_ENTRY if os.geteuid() == 0 else os.geteuid()
    assert found.st_uid == expected
    if os.geteuid() == 0:
        assert found.st_gid == WITHOUT_PASSWD_ENTRY
        with rights.of_owner(owned, 12_345):
            (owned / "other").touch()
        assert (owned / "other").stat().st_gid == 12_345


def test_rights_come_back_after_an_error(owned: Path) -> None:
    with pytest.raises(RuntimeError), rights.of_owner(owned):
        raise RuntimeError
    (owned.parent / "of us").touch()
    assert (owned.parent / "of us").stat().st_uid == os.geteuid()


async def test_process_that_cannot_give_up_its_rights_stops(owned: Path) -> None:
    if os.geteuid() != 0:
        return
    finished = await run([*WITHOUT_SETUID, sys.executable, "-c", PROGRAM, str(owned)], 30)
    assert finished.output.strip() == f"setfsuid({WITHOUT_PASSWD_ENTRY}): Operation not permitted"


def test_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * (1 << 20))
    assert len(rights.read_file(path)) == 1 << 20
    path.write_bytes(b"x" * ((1 << 20) + 1))
    with pytest.raises(ValueError, match="file is longer than 1048576 bytes"):
        rights.read_file(path)


def test_socket_and_directory_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a regular file"):
        rights.read_file(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="is not a regular file"):
        rights.read_file(tmp_path / "fifo")
    with pytest.raises(FileNotFoundError):
        rights.read_file(tmp_path / "none")
