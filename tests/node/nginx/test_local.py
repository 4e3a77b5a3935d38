"""Reloads that cannot be proven, with the reason from nginx's log and processes."""

import asyncio
import logging
import os
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.hostile import HOSTILE, assert_harmless
from tests.node.nginx.masters import ACCEPTING, LEAVING, FakeMaster, fake_master
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_node import model
from wellkeeper_node.errors import EndedError, ReloadError
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.local import LocalNginx
from wellkeeper_node.nginx.processes import is_running, workers

SECONDS = 20
PASSED = model.Tested(True, "", 0.1)


def nginx(master: FakeMaster, clock: FakeClock, *reload_command: str, error_log: Path | None = None) -> LocalNginx:
    return LocalNginx(Control(("true",), master.pid_file, reload_command or ("true",), error_log), clock)


async def test_user_who_may_not_read_the_files_of_nginx_is_sent_to_sudo(clock: FakeClock) -> None:
    words = 'cannot load certificate key "/k": BIO_new_file() failed (13: Permission denied)'
    with shared_folder() as folder:
        program = folder / "nginx"
        program.write_text(f"#!/bin/sh\necho 'nginx: [emerg] {words}'\nexit 1\n")
        program.chmod(0o755)
        asked = LocalNginx(Control((str(program),), folder / "nginx.pid"), clock)
        with as_unprivileged_user(), pytest.raises(ReloadError) as raised:
            await asked.configuration()
    assert raised.value.why == f"[emerg] {words}"
    assert raised.value.remedy.startswith("Run the command with sudo: ")


async def test_old_workers_that_keep_accepting_are_named(folder: Path, clock: FakeClock) -> None:
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        with pytest.raises(ReloadError, match=r"old ones still accept connections .*processes \d+"):
            await nginx(master, clock, *master.reload_command).reload(PASSED)


async def test_workers_that_finish_requests_are_counted(folder: Path, clock: FakeClock) -> None:
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        await master.start_worker(LEAVING)
        assert await nginx(master, clock).finishing() == 1


async def test_finishing_count_is_zero_when_nginx_does_not_run(folder: Path, clock: FakeClock) -> None:
    assert await LocalNginx(Control(("true",), folder / "nginx.pid"), clock).finishing() == 0


async def test_reload_without_effect_points_to_the_error_log(folder: Path, clock: FakeClock) -> None:
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        with pytest.raises(ReloadError, match=r"\[emerg\] lines in nginx's error log .*set nginx.error_log"):
            await nginx(master, clock).reload(PASSED)


async def test_missing_error_log_is_reported_and_named(
    folder: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    missing = folder / "error.log"
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        with pytest.raises(ReloadError, match=rf"\[emerg\] lines in {missing}"):
            await nginx(master, clock, error_log=missing).reload(PASSED)
    assert f"cannot read nginx's error log {missing}" in caplog.text


async def test_error_log_that_is_a_fifo_is_not_waited_for(
    folder: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    log = folder / "error.log"
    os.mkfifo(log)
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        async with asyncio.timeout(SECONDS):
            with pytest.raises(ReloadError, match=rf"\[emerg\] lines in {log}"):
                await nginx(master, clock, error_log=log).reload(PASSED)
    assert f"cannot read nginx's error log {log}: error.log is not a regular file" in caplog.text


@pytest.mark.root
@pytest.mark.parametrize("is_link", [False, True])
async def test_error_log_is_read_with_the_rights_of_the_user_who_owns_its_directory(
    folder: Path, clock: FakeClock, *, is_link: bool
) -> None:
    """The workers of Debian's nginx own it, and may put a link there."""
    with shared_folder() as shared:
        logs = shared / "logs"
        logs.mkdir()
        async with fake_master(folder) as master:
            await master.start_worker(ACCEPTING)
            pid = int(master.pid_file.read_text())
            target = folder / "secret" if is_link else logs / "error.log"
            target.touch(0o600)
            if is_link:
                (logs / "error.log").symlink_to(target)
            for path in logs.iterdir():
                os.chown(path, 65534, 65534, follow_symlinks=False)
            os.chown(logs, 65534, 65534)
            write = ("sh", "-c", f"echo '[emerg] {pid}#{pid}: the reason' >> {target}")
            with pytest.raises(ReloadError) as caught:
                await nginx(master, clock, *write, error_log=logs / "error.log").reload(PASSED)
    assert ("the reason" in str(caught.value)) != is_link


async def test_failing_nginx_dump_is_an_error(folder: Path, clock: FakeClock) -> None:
    control = Control(("sh", "-c", "echo '[emerg] no configuration' >&2; exit 1"), folder / "nginx.pid")
    with pytest.raises(ReloadError, match=r"\[emerg\] no configuration"):
        await LocalNginx(control, clock).mentions("/live/web/fullchain.pem")


async def test_comment_that_names_a_path_ends_only_at_a_line_feed(folder: Path, clock: FakeClock) -> None:
    (folder / "dump").write_text(
        "# configuration file /n.conf:\n# before\u2028/live/web\nssl_certificate /live/mail;\n"
    )
    local = LocalNginx(Control(("sh", "-c", f"cat {folder}/dump"), folder / "nginx.pid"), clock)
    assert not await local.mentions("/live/web")
    assert await local.mentions("/live/mail")


async def test_words_of_nginx_end_only_at_a_line_feed(folder: Path, clock: FakeClock) -> None:
    (folder / "words").write_text('nginx: [emerg] unknown directive "a\u2028b" in /n.conf:1\n')
    control = Control(("sh", "-c", f"cat {folder}/words; exit 1"), folder / "nginx.pid")
    assert (await LocalNginx(control, clock).test()).words == '[emerg] unknown directive "a b" in /n.conf:1'


async def test_configuration_that_is_not_one_is_an_error(folder: Path, clock: FakeClock) -> None:
    with pytest.raises(ReloadError, match="printed no configuration file"):
        await LocalNginx(Control(("echo",), folder / "nginx.pid"), clock).servers()


async def test_part_of_the_configuration_that_cannot_be_parsed_is_logged(
    folder: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    control = Control(("printf", "# configuration file /n.conf:\nhttp { server {\n# "), folder / "nginx.pid")
    assert await LocalNginx(control, clock).servers() == ()
    assert "cannot parse all of nginx's configuration: /n.conf: " in caplog.text


async def test_directories_that_the_dump_names_are_found(folder: Path, clock: FakeClock) -> None:
    (folder / "web").mkdir()
    (folder / "web/fullchain.pem").touch()
    (folder / "dump").write_text(
        f"# configuration file /etc/nginx/nginx.conf:\nssl_certificate {folder}/web/fullchain.pem;\n"
    )
    local = LocalNginx(Control(("sh", "-c", f"cat {folder}/dump"), folder / "nginx.pid"), clock)
    assert await local.named([f"{folder}/web", f"{folder}/mail"]) == {f"{folder}/web": "/etc/nginx/nginx.conf:1"}


@pytest.mark.parametrize("dump", ["nothing", "# configuration file /etc/nginx/nginx.conf:\nhttp {"])
async def test_dump_that_cannot_be_parsed_is_an_error(folder: Path, clock: FakeClock, dump: str) -> None:
    local = LocalNginx(Control(("printf", dump), folder / "nginx.pid"), clock)
    with pytest.raises(ReloadError, match="cannot read nginx's configuration"):
        await local.named([str(folder)])


async def test_words_of_nginx_are_quoted_without_the_time_and_process(folder: Path, clock: FakeClock) -> None:
    line = '2026/11/29 17:18:39 [emerg] 207#207: host not found in upstream "a" in /n.conf:3'
    local = LocalNginx(Control(("sh", "-c", f"echo '{line}'; exit 1"), folder / "nginx.pid"), clock)
    assert (await local.test()).words == '[emerg] host not found in upstream "a" in /n.conf:3'


async def test_failing_reload_command_is_quoted_even_without_output(folder: Path, clock: FakeClock) -> None:
    async with fake_master(folder) as master:
        with pytest.raises(ReloadError, match=r"'false' failed .*1"):
            await nginx(master, clock, "false").reload(PASSED)


async def test_nginx_without_workers_serves_nothing(folder: Path, clock: FakeClock) -> None:
    async with fake_master(folder) as master:
        with pytest.raises(EndedError, match=r"no workers left and serves nothing"):
            await nginx(master, clock).reload(PASSED)


async def test_words_of_nginx_and_of_its_log_are_harmless(folder: Path, clock: FakeClock) -> None:
    said = f"nginx: [emerg] {HOSTILE}".replace("\n", " ").replace("\r", "\x07")
    control = Control(("sh", "-c", f"printf '%s' '{said}'; exit 1"), folder / "nginx.pid")
    tested = await LocalNginx(control, clock).test()
    assert_harmless(tested.words)


def replacing(master: FakeMaster, *others: str) -> tuple[str, ...]:
    """Return a reload command that replaces the accepting workers by a new one, and starts others."""
    old = " ".join(str(worker.pid) for worker in workers(master.process).accepting)
    titles = (*others, f"{ACCEPTING} 2")
    start = [f"echo '{title}' >{master.fifo}" for title in titles]
    wait = [f"until pgrep -P {master.process.pid} -f '{title}'; do :; done" for title in titles]
    return ("sh", "-c", "; ".join([f"kill -9 {old}", *start, *wait]))


@pytest.mark.parametrize("finishing", [0, 1])
async def test_reload_returns_the_number_of_old_workers_that_finish_requests(
    folder: Path, clock: FakeClock, finishing: int
) -> None:
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        command = replacing(master, *[LEAVING] * finishing)
        assert await nginx(master, clock, *command).reload(PASSED) == finishing


async def test_reload_that_comes_while_a_test_explains_its_absence_is_no_refusal(
    folder: Path, clock: FakeClock
) -> None:
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        late = replacing(master)
        assert await LocalNginx(Control(late, master.pid_file, ("true",)), clock).reload(PASSED) == 0


async def test_master_that_ends_during_the_reload_is_an_error(folder: Path, clock: FakeClock) -> None:
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        pid = master.process.pid
        command = ("sh", "-c", f"kill -9 {pid}; while grep -q . /proc/{pid}/cmdline; do :; done")
        with pytest.raises(EndedError, match=rf"master \(process {pid}\) ended or was replaced during the reload"):
            await nginx(master, clock, *command).reload(PASSED)


async def test_master_without_a_reload_command_gets_a_signal(folder: Path, clock: FakeClock) -> None:
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        with pytest.raises(ReloadError):  # the shell ends, or is about to
            await LocalNginx(Control(("true",), master.pid_file), clock).reload(PASSED)
        while is_running(master.process):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("is_rotated", [False, True])
async def test_reload_without_effect_quotes_what_the_master_logged_since(
    folder: Path, clock: FakeClock, *, is_rotated: bool
) -> None:
    log = folder / "error.log"
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        pid = master.process.pid
        log.write_text(f"2026/03/01 12:00:00 [emerg] {pid}#{pid}: an older problem\n")
        line = f"2026/03/01 12:00:01 [emerg] {pid}#{pid}: bind() to 0.0.0.0:80 failed"
        rotation = f"mv {log} {log}.1; " if is_rotated else ""
        command = ("sh", "-c", f"{rotation}echo '{line}' >>{log}; echo '[emerg] 1#1: another process' >>{log}")
        with pytest.raises(ReloadError) as caught:
            await nginx(master, clock, *command, error_log=log).reload(PASSED)
    assert caught.value.why == "[emerg] bind() to 0.0.0.0:80 failed"


async def test_binary_upgrade_that_has_not_ended_is_an_error(folder: Path, clock: FakeClock) -> None:
    async with fake_master(folder) as master:
        master.pid_file.with_name("nginx.pid.oldbin").write_text(str(master.process.pid))
        with pytest.raises(ReloadError, match="a binary upgrade of nginx is in progress"):
            await nginx(master, clock).reload(PASSED)


@pytest.mark.parametrize(
    ("command", "reload_command", "words"),
    [
        ("wk-none", None, "the command 'wk-none' is not installed"),
        ("true", ("/wk/none",), "'/wk/none' does not exist"),
        ("true", ("true",), ""),
        ("true", None, ""),
    ],
)
async def test_what_a_reload_needs_is_proven(
    folder: Path, clock: FakeClock, command: str, reload_command: tuple[str, ...] | None, words: str
) -> None:
    async with fake_master(folder) as master:
        local = LocalNginx(Control((command,), master.pid_file, reload_command), clock)
        if not words:
            await local.prove()
        else:
            with pytest.raises(ReloadError, match=f"cannot test or reload nginx: {words}"):
                await local.prove()
    with pytest.raises(ReloadError):  # nginx does not run any more
        await local.prove()


async def test_reload_without_a_test_begins_with_one(folder: Path, clock: FakeClock) -> None:
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        assert await nginx(master, clock, *replacing(master)).reload(None) == 0


async def test_pid_file_need_not_be_known_to_run_nginx(clock: FakeClock) -> None:
    tested = await LocalNginx(Control(("true",), pid_file=None), clock).test()
    assert tested.passed
