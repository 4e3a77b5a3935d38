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

INSPECTED = """
import ctypes, os
from wellkeeper_node import rights
os.setgroups([])
os.setresgid(54_321, 54_321, 54_321)
os.setresuid(54_321, 54_321, 54_321)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as after the start of a program
for prepare in (lambda: None, rights.forbid_inspection):
    prepare()
    pid = os.getpid()
    if os.fork() == 0:
        try:
            os.stat(f"/proc/{pid}/root/")
            print("reached", flush=True)
        except PermissionError as error:
            print(error.strerror, flush=True)
        os._exit(0)
    os.wait()
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


@pytest.mark.root
def test_new_files_get_user_and_group_of_the_owner(owned: Path) -> None:
    with rights.of_owner(owned):
        (owned / "file").touch()
    found = (owned / "file").stat()
    assert (found.st_uid, found.st_gid) == (WITHOUT_PASSWD_ENTRY, WITHOUT_PASSWD_ENTRY)
    with rights.of_owner(owned, 12_345):
        (owned / "other").touch()
    assert (owned / "other").stat().st_gid == 12_345


def user_in(path: Path) -> int:
    """Return the user who creates a file in the shared directory with the rights for `path`."""
    with shared_folder() as shared:
        with rights.of_path(path):
            (shared / "file").touch()
        return (shared / "file").stat().st_uid


@pytest.mark.root
def test_owner_of_a_directory_above_decides(owned: Path) -> None:
    below = owned / "of root" / "certificates"
    below.mkdir(parents=True)
    assert user_in(below) == WITHOUT_PASSWD_ENTRY
    assert user_in(owned / "not yet" / "certificates") == WITHOUT_PASSWD_ENTRY
    assert user_in(owned.parent / "certificates") == 0


@pytest.mark.root
def test_links_of_root_are_followed_and_those_of_others_decide(owned: Path, tmp_path: Path) -> None:
    (owned / "to root").symlink_to(tmp_path)
    os.chown(owned / "to root", WITHOUT_PASSWD_ENTRY, 0, follow_symlinks=False)
    (tmp_path / "relative").symlink_to(os.path.relpath(owned, tmp_path) + "/to root")
    (tmp_path / "folder").mkdir()
    assert user_in(tmp_path / "relative/folder") == WITHOUT_PASSWD_ENTRY
    (tmp_path / "absolute").symlink_to(tmp_path / "folder/../folder")
    assert user_in(tmp_path / "absolute/./file") == 0
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        user_in(tmp_path / "loop")


@pytest.mark.root
def test_owner_of_a_lineage_decides_only_about_that(owned: Path) -> None:
    certificates = owned.parent / "certificates"
    (certificates / "archive/a").mkdir(parents=True)
    (certificates / "archive/b").mkdir()
    os.chown(certificates / "archive/b", WITHOUT_PASSWD_ENTRY, 0)
    found = []
    for lineage in ("", "a", "b"):
        with rights.of_owner(certificates, lineage=lineage):
            (owned.parent / f"by {lineage}").touch()
        found.append((owned.parent / f"by {lineage}").stat().st_uid)
    assert found == [0, 0, WITHOUT_PASSWD_ENTRY]


@pytest.mark.root
def test_directory_whose_owner_cannot_enter_those_above_is_not_used(owned: Path) -> None:
    """Root would follow links that the owner created through an open descriptor or another mount."""
    private = owned.parent / "private"
    (private / "below").mkdir(parents=True)
    owned.rename(private / "below/owned")
    private.chmod(0o710)
    with pytest.raises(rights.BarredError) as raised, rights.of_path(private / "below/owned/certificates"):
        pytest.fail("used as root")
    assert raised.value.strerror == f"user {WITHOUT_PASSWD_ENTRY} cannot enter {private}"
    assert raised.value.remedy == f"Run 'chmod o+x {private}'."
    (owned.parent / "of us").touch()
    assert (owned.parent / "of us").stat().st_uid == 0
    private.chmod(0o711)
    assert user_in(private / "below/owned/certificates") == WITHOUT_PASSWD_ENTRY
    (private / "below/owned").rename(owned)


@pytest.mark.root
def test_inner_context_keeps_the_user_of_the_outer_one(owned: Path) -> None:
    with rights.of_path(owned):
        with rights.of_path(owned.parent):
            (owned / "inner").touch()
        (owned / "outer").touch()
        assert [rights.may_give(*one) for one in ((WITHOUT_PASSWD_ENTRY,) * 2, (1, 1))] == [True, False]
    assert {(owned / name).stat().st_uid for name in ("inner", "outer")} == {WITHOUT_PASSWD_ENTRY}
    assert rights.may_give(1, 1)


def test_rights_come_back_after_an_error(owned: Path) -> None:
    with pytest.raises(RuntimeError), rights.of_owner(owned):
        raise RuntimeError
    (owned.parent / "of us").touch()
    assert (owned.parent / "of us").stat().st_uid == os.geteuid()


@pytest.mark.root
async def test_process_that_cannot_give_up_its_rights_stops(owned: Path) -> None:
    finished = await run([*WITHOUT_SETUID, sys.executable, "-c", PROGRAM, str(owned)], 120)
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


def test_directory_that_cannot_be_used_is_reported_with_its_remedy() -> None:
    assert str(rights.BarredError(WITHOUT_PASSWD_ENTRY, "/srv")) == (
        f"user {WITHOUT_PASSWD_ENTRY} cannot enter /srv: Run 'chmod o+x /srv'."
    )


@pytest.mark.root
async def test_process_of_the_same_user_is_kept_out() -> None:
    finished = await run([sys.executable, "-c", INSPECTED], 120)
    assert finished.output.split("\n")[:2] == ["reached", "Permission denied"]
