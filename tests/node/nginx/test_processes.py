"""Finding the master: a pid file says many things."""

import os
from pathlib import Path

import pytest

from wellkeeper_node.errors import ReloadError
from wellkeeper_node.nginx.processes import Process, find_master, is_running


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty .*start nginx"),
        ("\n", "is empty"),
        ("what?", "holds 'what.', which is no process id"),
        ("-1", "no process id"),
        ("١٢", "no process id"),
        ("4194999\n", "names process 4194999, which does not exist.*another container"),
        (f"{os.getpid()}\n", f"process {os.getpid()}, which .* names, is no nginx master but"),
    ],
    ids=["empty", "newline", "garbage", "negative", "foreign digits", "gone", "somebody else"],
)
def test_pid_file_that_names_no_master_is_explained(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "nginx.pid").write_text(content)
    with pytest.raises(ReloadError, match=words):
        find_master(tmp_path / "nginx.pid")


def test_missing_pid_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ReloadError, match=r"not running, or .*nginx\.pid is not its pid file.*nginx\.pid_file"):
        find_master(tmp_path / "nginx.pid")


def test_unreadable_pid_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ReloadError, match="cannot be read: Is a directory"):
        find_master(tmp_path)


def test_process_is_not_taken_for_one_that_had_its_id_before() -> None:
    started_at = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    assert is_running(Process(os.getpid(), started_at))
    assert not is_running(Process(os.getpid(), started_at - 1))
