"""The running nginx, as processes that look like one."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.node.doctor.dumps import FILE, configured
from tests.node.nginx.masters import ACCEPTING, LEAVING, fake_master
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_client import services
from wellkeeper_node.doctor.nginx_process import check_loaded, check_process, check_signal, check_test
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.findings import Finding, Verdict
from wellkeeper_node.nginx.configuration import Configuration, parse
from wellkeeper_node.nginx.control import Control


def control(pid_file: Path, *reload_command: str) -> Control:
    return Control(("nginx", "-c", str(pid_file.with_suffix(".conf"))), pid_file, reload_command or None)


def summary(found: list[Finding]) -> tuple[str, Verdict]:
    (one,) = found
    return one.check, one.verdict


@pytest.mark.parametrize("program", ["nginx", "angie"])
async def test_master_with_workers_is_ok(folder: Path, program: str) -> None:
    async with fake_master(folder, program) as master:
        await master.start_worker(ACCEPTING)
        (found,) = await check_process(control(master.pid_file), 1)
        pid = master.process.pid
    assert (found.verdict, found.cause) == (Verdict.OK, f"nginx runs as process {pid} with 1 worker")


async def test_master_without_workers_is_a_failure(folder: Path) -> None:
    async with fake_master(folder) as master:
        (found,) = await check_process(control(master.pid_file), 1)
    assert (found.verdict, found.check) == (Verdict.FAIL, "nginx-process")
    assert "has no workers, so it serves nothing" in found.cause


async def test_too_many_old_workers_are_a_failure(folder: Path) -> None:
    async with fake_master(folder) as master:
        for title in (ACCEPTING, LEAVING, LEAVING):
            await master.start_worker(title)
        (found,) = await check_process(control(master.pid_file), 1)
        assert found.cause == "2 old workers of nginx still finish requests, so it is not reloaded"
        assert "worker_shutdown_timeout" in found.fix
        assert summary(await check_process(control(master.pid_file), 2)) == ("nginx-process", Verdict.OK)


async def test_empty_pid_file_of_a_running_nginx_is_a_failure_with_the_command(folder: Path) -> None:
    async with fake_master(folder) as master:
        master.pid_file.write_text("")
        (found,) = await check_process(control(master.pid_file), 1)
        pid = master.process.pid
    assert found.verdict is Verdict.FAIL
    assert found.cause.endswith(f"but nginx runs as process {pid}")
    assert found.fix == f"Run 'echo {pid} >{master.pid_file}'."


async def test_nginx_that_does_not_run_is_one_failure_and_the_rest_is_skipped(folder: Path) -> None:
    given = control(folder / "nginx.pid")
    assert summary(await check_process(given, 1)) == ("nginx-process", Verdict.FAIL)
    assert summary(await check_signal(given)) == ("nginx-signal", Verdict.SKIPPED)
    assert summary(await check_loaded(configured(), given)) == ("nginx-loaded", Verdict.SKIPPED)


async def test_right_to_signal_is_ok(folder: Path) -> None:
    async with fake_master(folder) as master:
        assert summary(await check_signal(control(master.pid_file))) == ("nginx-signal", Verdict.OK)


@pytest.mark.root
async def test_missing_right_to_signal_is_a_failure_with_the_remedy() -> None:
    with shared_folder() as folder:
        async with fake_master(folder) as master:
            with as_unprivileged_user():
                (found,) = await check_signal(control(master.pid_file))
    assert found.verdict is Verdict.FAIL
    assert "may not signal nginx" in found.cause
    assert "as root or as nginx's user" in found.fix


async def test_command_that_reloads_must_be_installed(folder: Path) -> None:
    assert summary(await check_signal(control(folder / "nginx.pid", "true"))) == ("nginx-signal", Verdict.OK)
    (found,) = await check_signal(control(folder / "nginx.pid", f"{folder}/none", "--secret"))
    assert (found.verdict, found.cause) == (Verdict.FAIL, f"'{folder}/none', which reloads nginx, is not installed")


def refused(words: str) -> ReloadError:
    return ReloadError("cannot read nginx's configuration ('nginx -T')", words, "Fix what it reports.")


async def test_accepted_configuration_is_ok() -> None:
    (found,) = await check_test(configured(), is_root=True)
    assert (found.verdict, found.cause) == (Verdict.OK, "nginx accepts its configuration (1 file)")


async def test_configuration_that_only_a_reload_tests_is_not_called_accepted() -> None:
    read = replace(configured(), is_tested=False)
    (found,) = await check_test(read, is_root=True)
    words = "nginx's configuration can be read (1 file); only a reload can test it"
    assert (found.verdict, found.cause) == (Verdict.OK, words)


async def test_words_of_nginx_are_reported_with_the_place_that_they_name() -> None:
    words = '[emerg] unknown directive "oops" in /etc/nginx/sites-enabled/web:7'
    (found,) = await check_test(refused(words), is_root=True)
    assert (found.verdict, found.place) == (Verdict.FAIL, "/etc/nginx/sites-enabled/web:7")
    assert words in found.cause
    assert found.fix == "Fix what it reports."


async def test_each_warning_of_nginx_is_reported() -> None:
    words = f'[warn] conflicting server name "a" on 0.0.0.0:80, ignored in {FILE}:3'
    given = parse(f"nginx: {words}\n# configuration file {FILE}:\nhttp {{ }}\n")
    (found,) = await check_test(given, is_root=True)
    assert (found.verdict, found.cause, found.place) == (Verdict.WARN, words, f"{FILE}:3")


async def test_what_cannot_be_parsed_is_a_warning() -> None:
    (found,) = await check_test(Configuration(Path("/"), (), ("/n.conf: strange",)), is_root=True)
    assert (found.verdict, found.cause) == (
        Verdict.WARN,
        "cannot parse all of nginx's configuration: /n.conf: strange",
    )


async def test_test_that_needs_root_is_skipped_for_others() -> None:
    words = '[emerg] cannot load certificate key "/k.pem": (13: Permission denied)'
    assert summary(await check_test(refused(words), is_root=False)) == ("nginx-test", Verdict.SKIPPED)
    assert summary(await check_test(refused(words), is_root=True)) == ("nginx-test", Verdict.FAIL)


def with_files(*files: Path, folder: Path | None = None) -> Configuration:
    return Configuration(Path("/"), (), files=tuple(map(str, files)), folders=(str(folder),) if folder else ())


def touch_after(moment: float, path: Path) -> None:
    """Give the file an old date until the clock of the file system has passed the moment."""
    path.touch()
    while path.stat().st_ctime <= moment:
        os.utime(path, (0, 0))


async def test_files_that_changed_after_the_workers_started_are_named(folder: Path) -> None:
    files = [folder / f"{number}.conf" for number in range(5)]
    for path in files:
        path.touch()
        os.utime(path, (0, 0))
    async with fake_master(folder) as master:
        given = control(master.pid_file)
        await master.start_worker(ACCEPTING)
        unchanged = with_files(*files, folder / "gone.conf")
        assert summary(await check_loaded(unchanged, given)) == ("nginx-loaded", Verdict.OK)
        later = time.time() + 60
        for path in files[1:]:
            os.utime(path, (later, later))
        (found,) = await check_loaded(unchanged, given)
        by_command = await check_loaded(unchanged, control(master.pid_file, "systemctl", "reload", "angie"))
    assert found.verdict is Verdict.WARN
    assert f"since then changed: {files[1]} at " in found.cause
    assert found.cause.endswith("and 1 more file")
    assert str(files[0]) not in found.cause
    assert found.fix == services.sentence("reload", "nginx")
    assert by_command[0].fix == "Run 'systemctl reload angie'."


async def test_new_link_to_an_old_file_counts_as_a_change(folder: Path) -> None:
    old, link = folder / "site", folder / "enabled"
    old.touch()
    os.utime(old, (0, 0))
    async with fake_master(folder) as master:
        link.symlink_to(old)
        later = time.time() + 60
        os.utime(link, (later, later), follow_symlinks=False)
        (found,) = await check_loaded(with_files(link), control(master.pid_file))
    assert found.verdict is Verdict.WARN


async def test_file_that_was_copied_with_its_old_date_counts_as_a_change(folder: Path) -> None:
    copy = folder / "site.conf"
    async with fake_master(folder) as master:
        touch_after(time.time() + 0.1, copy)
        (found,) = await check_loaded(with_files(copy), control(master.pid_file))
    assert copy.stat().st_mtime == 0
    assert (found.verdict, f"since then changed: {copy} at " in found.cause) == (Verdict.WARN, True)


async def test_file_that_was_removed_from_a_searched_directory_counts_as_a_change(folder: Path) -> None:
    enabled = folder / "enabled"
    enabled.mkdir()
    (enabled / "site").touch()
    async with fake_master(folder) as master:
        given = with_files(folder=enabled)
        assert summary(await check_loaded(given, control(master.pid_file))) == ("nginx-loaded", Verdict.OK)
        touch_after(time.time() + 0.1, folder / "clock")
        (enabled / "site").unlink()
        (found,) = await check_loaded(given, control(master.pid_file))
    assert (found.verdict, f"since then changed: {enabled}/ at " in found.cause) == (Verdict.WARN, True)
