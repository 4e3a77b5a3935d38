"""Durable file operations: directories, modes, owners and locks."""

import os
import resource
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_node import durable
from wellkeeper_node.errors import InstallError

Write = Callable[[Path, bytes, int], None]
OWN = durable.Owner(os.geteuid(), os.getegid())


def test_directory_has_its_mode_and_its_new_parents_are_passable(folder: Path) -> None:
    durable.make_folder(folder / "srv/tls/certificates", 0o750, OWN)
    modes = [(folder / path).stat().st_mode & 0o777 for path in ("srv", "srv/tls", "srv/tls/certificates")]
    assert modes == [0o755, 0o755, 0o750]


@pytest.mark.parametrize("owner", [durable.Owner(), OWN], ids=["unchanged owner", "own user"])
def test_existing_directory_is_left_unchanged(folder: Path, owner: durable.Owner) -> None:
    (folder / "there").mkdir(0o711)
    durable.make_folder(folder / "there", 0o700, owner)
    assert (folder / "there").stat().st_mode & 0o777 == 0o711


@pytest.mark.parametrize("write", [durable.create_whole, durable.replace_whole])
def test_file_has_its_mode_and_leftovers_of_a_crash_are_removed(folder: Path, write: Write) -> None:
    (folder / ".a.tmp").write_text("half")
    write(folder / "a", b"whole", 0o640)
    assert [(one.name, one.read_bytes()) for one in folder.iterdir()] == [("a", b"whole")]
    assert (folder / "a").stat().st_mode & 0o7777 == 0o640


def test_created_file_never_replaces_a_file_or_link(folder: Path) -> None:
    (folder / "file").write_text("mine")
    (folder / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            durable.create_whole(folder / name, b"other", 0o600)
    assert (folder / "file").read_text() == "mine"
    assert sorted(one.name for one in folder.iterdir()) == ["file", "link"]


def test_replacing_a_link_keeps_its_target(folder: Path) -> None:
    (folder / "elsewhere").write_text("mine")
    (folder / "link").symlink_to("elsewhere")
    durable.replace_whole(folder / "link", b"new", 0o600)
    assert [(folder / one).read_text() for one in ("elsewhere", "link")] == ["mine", "new"]
    assert not (folder / "link").is_symlink()


@pytest.mark.parametrize("write", [durable.create_whole, durable.replace_whole])
def test_failed_write_leaves_no_temporary_file(folder: Path, write: Write) -> None:
    (folder / "a").mkdir()
    with pytest.raises(OSError, match=r"File exists|Is a directory"):
        write(folder / "a", b"text", 0o600)
    assert [one.name for one in folder.iterdir()] == ["a"]


def test_concurrent_writers_leave_one_complete_file(folder: Path) -> None:
    contents = [bytes([letter]) * 5000 for letter in b"abcd"]

    def write(content: bytes) -> None:
        for _ in range(25):
            durable.replace_whole(folder / "a", content, 0o600)
            assert (folder / "a").read_bytes() in contents

    with ThreadPoolExecutor(len(contents)) as threads:
        list(threads.map(write, contents))
    assert [one.name for one in folder.iterdir()] == ["a"]


def test_only_one_of_several_writers_creates_the_file(folder: Path) -> None:
    def create(content: bytes) -> bytes | None:
        try:
            durable.create_whole(folder / "a", content, 0o600)
        except FileExistsError:
            return None
        return content

    with ThreadPoolExecutor(8) as threads:
        made = [one for one in threads.map(create, [bytes([letter]) * 5000 for letter in b"abcdefgh"]) if one]
    assert [(folder / "a").read_bytes()] == made


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Make the kernel refuse larger files, as a quota does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_directory_made_first_by_another_process_is_not_new(folder: Path) -> None:
    assert durable.make_new(folder / "there")
    assert not durable.make_new(folder / "there")


def test_broken_link_in_place_of_a_directory_is_an_error(folder: Path) -> None:
    (folder / "there").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        durable.make_folder(folder / "there", 0o700, OWN)


def test_directory_whose_owner_cannot_be_changed_is_removed() -> None:
    with shared_folder() as folder:
        with as_unprivileged_user(), pytest.raises(PermissionError):
            durable.make_folder(folder / "certificates", 0o750, durable.Owner(0, 0))
        assert list(folder.iterdir()) == []


def test_failed_write_names_the_file(folder: Path) -> None:
    with largest_file(1000), pytest.raises(OSError, match="File too large") as caught:
        durable.write_file(folder / "a", b"x" * 2000, 0o600, OWN)
    assert caught.value.filename == str(folder / "a")


def test_lock_held_by_another_process_is_reported_with_its_file(folder: Path) -> None:
    with durable.locked(folder / ".lock", "web"):
        with durable.locked(folder / ".lock", "mail", timeout_seconds=0):
            pass
        with (
            pytest.raises(InstallError, match=f"cannot lock {folder}/.lock: another process has held"),
            durable.locked(folder / ".lock", "web", timeout_seconds=0),
        ):
            pass
