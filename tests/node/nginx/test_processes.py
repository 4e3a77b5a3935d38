"""Finding the nginx master by its pid file."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.unprivileged import as_unprivileged_user
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.nginx.processes import Process, error_log, find_master, hang_up, is_running, workers


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty.*Start nginx"),
        ("\n", "is empty"),
        ("what?", "contains 'what.', not a process id"),
        ("-1", "not a process id"),
        ("١٢", "not a process id"),
        ("4194999\n", "names process 4194999, which does not exist.*another container"),
        (f"{os.getpid()}\n", f"process {os.getpid()}, which .* names, is not an nginx master but"),
    ],
    ids=["empty", "newline", "garbage", "negative", "Arabic digits", "gone", "another process"],
)
def test_pid_file_that_names_no_master_is_explained(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "nginx.pid").write_text(content)
    with pytest.raises(ReloadError, match=words):
        find_master(tmp_path / "nginx.pid")


def test_missing_pid_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(
        ReloadError, match=r"cannot find the nginx master: .*nginx\.pid does not exist.*nginx\.pid_file"
    ):
        find_master(tmp_path / "nginx.pid")


def test_unreadable_pid_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ReloadError, match=r"cannot read the pid file .*: Is a directory"):
        find_master(tmp_path)


def test_process_is_not_taken_for_its_predecessor_with_the_same_id() -> None:
    started_at = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    assert is_running(Process(os.getpid(), started_at))
    assert not is_running(Process(os.getpid(), started_at - 1))


GONE = Process(4194999, 1)


def process(pid: int) -> Process:
    return Process(pid, int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]))


def of_another_user() -> Process:
    """Return a process that this user may not signal."""
    pids = (int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit())
    return next(process(pid) for pid in pids if Path(f"/proc/{pid}").stat().st_uid != os.geteuid())


def test_ended_process_is_not_signalled() -> None:
    with pytest.raises(ReloadError, match="process 4194999"):
        hang_up(GONE)


def test_successor_with_the_same_id_is_not_signalled() -> None:
    own = process(os.getpid())
    with pytest.raises(ReloadError, match=rf"process {own.pid}\) ended before"):
        hang_up(Process(own.pid, own.started_at - 1))


def test_missing_permission_to_signal_nginx_is_reported_with_the_remedy() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as sleeping:
        try:
            target = process(sleeping.pid) if os.geteuid() == 0 else of_another_user()
            while not is_running(target):  # its command line is empty for a moment after it starts
                pass
            with as_unprivileged_user(), pytest.raises(ReloadError, match=r"nginx\.reload_command"):
                hang_up(target)
        finally:
            sleeping.kill()


def test_ended_process_has_neither_log_nor_workers() -> None:
    assert error_log(GONE) is None
    with pytest.raises(ReloadError, match="4194999"):
        workers(GONE)


def test_leftover_pid_file_of_a_finished_upgrade_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "nginx.pid.oldbin").write_text("4194999\n")
    with pytest.raises(ReloadError, match=r"nginx\.pid"):
        find_master(tmp_path / "nginx.pid")


def test_master_gets_the_signal_and_its_standard_error_is_the_log(tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    with log.open("w") as file, subprocess.Popen(["/bin/sleep", "60"], stderr=file) as sleeping:
        target = process(sleeping.pid)
        while not is_running(target):  # its command line is empty for a moment after it starts
            pass
        assert error_log(target) == log
        hang_up(target)
        assert sleeping.wait() == -signal.SIGHUP
