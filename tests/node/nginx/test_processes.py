"""Finding the nginx master by its pid file."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.node.nginx.masters import ACCEPTING, PROGRAM, fake_master
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.nginx.masters import find_master, running_masters
from wellkeeper_node.nginx.processes import (
    Process,
    error_log,
    hang_up,
    ids_of,
    is_running,
    remedy_of_denial,
    shares_root,
    workers,
)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty.*Start nginx"),
        ("\n", "is empty"),
        ("what?", "contains 'what.', not a process id"),
        ("-1", "not a process id"),
        ("١٢", "not a process id"),
        ("4194999\n", "names process 4194999, which does not exist.*another container"),
        (f"{os.getpid()}\n", f"names process {os.getpid()}, which is not an nginx master but"),
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
            with as_unprivileged_user(), pytest.raises(ReloadError, match="as root or as nginx's user"):
                hang_up(target)
        finally:
            sleeping.kill()


def test_sudo_for_systemctl_is_a_remedy_only_with_systemd() -> None:
    assert '["sudo", "-n", "systemctl", "reload", "nginx"]' in remedy_of_denial(has_systemd=True)
    assert remedy_of_denial(has_systemd=False) == "Run this program as root or as nginx's user."


def test_ended_process_has_neither_ids_nor_log_nor_workers() -> None:
    assert error_log(GONE) is None
    assert ids_of(GONE) is None
    assert shares_root(GONE)
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


@pytest.mark.parametrize("program", ["nginx", "angie"])
async def test_master_may_have_any_program_name_in_its_title(folder: Path, program: str) -> None:
    async with fake_master(folder, program) as master:
        await master.start_worker(ACCEPTING)
        assert find_master(master.pid_file) == master.process
        assert running_masters(master.command) == (master.process,)
        assert len(workers(master.process).accepting) == 1


async def test_master_of_another_program_is_not_taken_for_nginx(folder: Path) -> None:
    async with fake_master(folder, "php-fpm") as master:
        assert master.process not in running_masters(("nginx",))
        with pytest.raises(ReloadError, match="which is not an nginx master but 'php-fpm: master process"):
            find_master(master.pid_file, ("nginx",))
        with pytest.raises(ReloadError, match="not an nginx master"):
            find_master(master.pid_file)


async def test_master_of_an_unknown_program_is_found_if_it_is_that_of_the_command(folder: Path) -> None:
    async with fake_master(folder, "php-fpm") as master:
        assert find_master(master.pid_file, PROGRAM) == master.process
        with pytest.raises(ReloadError, match="not an nginx master"):
            find_master(master.pid_file, (f"{folder}/missing",))


def test_master_is_found_after_its_program_was_replaced(folder: Path) -> None:
    program, pid_file = folder / "web", folder / "web.pid"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen(["web: master process web", "60"], executable=program) as running:  # noqa: S607 - a title
        try:
            pid_file.write_text(str(running.pid))
            while not is_running(process(running.pid)):  # its command line is empty for a moment after it starts
                pass
            program.unlink()
            shutil.copy("/bin/sleep", program)
            assert find_master(pid_file, (str(program),)) == process(running.pid)
        finally:
            running.kill()


@pytest.mark.root
def test_master_of_an_unknown_program_that_may_not_be_looked_at_is_not_taken_for_nginx() -> None:
    with shared_folder() as shared, subprocess.Popen(["web: master process", "60"], executable="/bin/sleep") as running:  # noqa: S607 - a title
        try:
            (shared / "web.pid").write_text(str(running.pid))
            while not is_running(process(running.pid)):
                pass
            with as_unprivileged_user(), pytest.raises(ReloadError, match="not an nginx master"):
                find_master(shared / "web.pid", ("/bin/sleep",))
        finally:
            running.kill()


@pytest.mark.parametrize(
    ("content", "why", "remedy"),
    [
        ("", "is empty: 'nginx -t' creates such a file if there is none", "Run 'echo {pid} >{file}'."),
        ("4194999", "names process 4194999, which does not exist", "Run 'echo {pid} >{file}'."),
        ("what", "contains 'what', not a process id", "Run 'echo {pid} >{file}'."),
        (None, "does not exist", "set nginx.pid_file to it"),
    ],
    ids=["empty", "stale", "garbage", "missing"],
)
async def test_running_master_that_the_pid_file_does_not_name_is_named(
    folder: Path, content: str | None, why: str, remedy: str
) -> None:
    async with fake_master(folder) as master:
        if content is None:
            master.pid_file.unlink()
        else:
            master.pid_file.write_text(content)
        with pytest.raises(ReloadError) as raised:
            find_master(master.pid_file, master.command)
    pid = master.process.pid
    assert raised.value.why == f"{master.pid_file} {why}, but nginx runs as process {pid}"
    assert remedy.format(pid=pid, file=master.pid_file) in raised.value.remedy


async def test_master_with_another_configuration_is_not_taken_for_ours(folder: Path) -> None:
    async with fake_master(folder) as master:
        assert running_masters(("nginx", f"-c{folder}/other.conf")) == ()
        assert running_masters(("nginx", f"-c{folder}/nginx.conf")) == (master.process,)
        master.pid_file.write_text("")
        with pytest.raises(ReloadError, match="Start nginx"):
            find_master(master.pid_file, ("nginx", "-c", f"{folder}/other.conf"))


def test_own_process_has_our_ids_and_root() -> None:
    found = ids_of(process(os.getpid()))
    assert found is not None
    assert (found.user, found.group) == (os.geteuid(), os.getegid())
    assert set(found.groups) == set(os.getgroups())
    assert shares_root(process(os.getpid()))


def test_right_to_signal_is_checked_without_a_signal() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as sleeping:
        try:
            target = process(sleeping.pid)
            while not is_running(target):  # its command line is empty for a moment after it starts
                pass
            hang_up(target, 0)
            assert sleeping.poll() is None
        finally:
            sleeping.kill()
