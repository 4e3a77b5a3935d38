"""Work on the disk: folders that are given away, and only those."""

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
US = durable.Owner(os.geteuid(), os.getegid())


def test_folder_has_its_mode_and_what_was_missing_above_it_is_for_all_to_pass(folder: Path) -> None:
    durable.make_folder(folder / "srv/tls/certificates", 0o750, US)
    modes = [(folder / path).stat().st_mode & 0o777 for path in ("srv", "srv/tls", "srv/tls/certificates")]
    assert modes == [0o755, 0o755, 0o750]


@pytest.mark.parametrize("owner", [durable.Owner(), US], ids=["nobody else", "us"])
def test_folder_that_is_there_is_left_alone(folder: Path, owner: durable.Owner) -> None:
    (folder / "there").mkdir(0o711)
    durable.make_folder(folder / "there", 0o700, owner)
    assert (folder / "there").stat().st_mode & 0o777 == 0o711


@pytest.mark.parametrize("write", [durable.create_whole, durable.replace_whole])
def test_whole_file_has_its_mode_and_a_crash_before_leaves_nothing(folder: Path, write: Write) -> None:
    (folder / ".a.tmp").write_text("half")
    write(folder / "a", b"whole", 0o640)
    assert [(one.name, one.read_bytes()) for one in folder.iterdir()] == [("a", b"whole")]
    assert (folder / "a").stat().st_mode & 0o7777 == 0o640


def test_created_file_replaces_neither_a_file_nor_a_link(folder: Path) -> None:
    (folder / "file").write_text("mine")
    (folder / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            durable.create_whole(folder / name, b"theirs", 0o600)
    assert (folder / "file").read_text() == "mine"
    assert sorted(one.name for one in folder.iterdir()) == ["file", "link"]


def test_replaced_file_is_a_new_one_and_what_it_was_linked_to_stays(folder: Path) -> None:
    (folder / "elsewhere").write_text("mine")
    (folder / "link").symlink_to("elsewhere")
    durable.replace_whole(folder / "link", b"new", 0o600)
    assert [(folder / one).read_text() for one in ("elsewhere", "link")] == ["mine", "new"]
    assert not (folder / "link").is_symlink()


@pytest.mark.parametrize("write", [durable.create_whole, durable.replace_whole])
def test_file_that_cannot_be_put_in_place_leaves_nothing_beside_it(folder: Path, write: Write) -> None:
    (folder / "a").mkdir()
    with pytest.raises(OSError, match=r"File exists|Is a directory"):
        write(folder / "a", b"text", 0o600)
    assert [one.name for one in folder.iterdir()] == ["a"]


def test_writers_at_once_leave_the_whole_file_of_one_of_them(folder: Path) -> None:
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
    """Have the kernel refuse larger files, as a quota does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_folder_that_another_process_made_first_is_not_new(folder: Path) -> None:
    assert durable.make_new(folder / "there")
    assert not durable.make_new(folder / "there")


def test_broken_link_in_place_of_a_folder_is_an_error(folder: Path) -> None:
    (folder / "there").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        durable.make_folder(folder / "there", 0o700, US)


def test_folder_that_cannot_be_given_away_is_not_left_behind() -> None:
    with shared_folder() as folder:
        with as_unprivileged_user(), pytest.raises(PermissionError):
            durable.make_folder(folder / "certificates", 0o750, durable.Owner(0, 0))
        assert list(folder.iterdir()) == []


def test_write_that_fails_names_the_file(folder: Path) -> None:
    with largest_file(1000), pytest.raises(OSError, match="File too large") as caught:
        durable.write_file(folder / "a", b"x" * 2000, 0o600, US)
    assert caught.value.filename == str(folder / "a")


def test_lock_that_another_process_keeps_is_reported_with_its_file(folder: Path) -> None:
    with durable.locked(folder / ".lock", "web"):
        with durable.locked(folder / ".lock", "mail", timeout_seconds=0):
            pass
        with (
            pytest.raises(InstallError, match=f"cannot lock {folder}/.lock: another process has held"),
            durable.locked(folder / ".lock", "web", timeout_seconds=0),
        ):
            pass
