"""An nginx whose processes alone are here: how long a reload may take, and what is read through its root."""

from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.node.nginx.masters import ACCEPTING, FakeMaster, fake_master
from tests.node.nginx.test_local import replacing
from tests.unprivileged import as_unprivileged_user, shared_folder
from wellkeeper_node.errors import RefusedError, ReloadError
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.factory import make_nginx
from wellkeeper_node.nginx.local import LocalNginx
from wellkeeper_node.nginx.shared import SharedNginx


def nginx(master: FakeMaster, clock: FakeClock, *reload_command: str, error_log: Path | None = None) -> SharedNginx:
    control = Control(
        pid_file=master.pid_file, reload_command=reload_command or ("true",), error_log=error_log, test="reload"
    )
    return SharedNginx(control, clock)


def test_settings_decide_how_nginx_is_reached(clock: FakeClock) -> None:
    assert isinstance(make_nginx(Control(test="reload"), clock), SharedNginx)
    assert isinstance(make_nginx(Control(), clock), LocalNginx)


async def test_nothing_but_a_reload_is_a_test(folder: Path, clock: FakeClock) -> None:
    async with fake_master(folder) as master:
        shared = nginx(master, clock)
        await shared.prove()
        assert await shared.finishing() == 0
        assert await SharedNginx.test(shared) is None  # type: ignore[func-returns-value]


async def test_first_reload_may_take_a_minute_and_later_ones_as_long_as_those_before(
    folder: Path, clock: FakeClock
) -> None:
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        flag = folder / "works"
        works = " ".join(replacing(master)[2:])
        shared = nginx(master, clock, "sh", "-c", f"test ! -e {flag} || {{ {works}; }}")
        with pytest.raises(RefusedError, match=r"within 60\.\d s and keeps the old certificates"):
            await shared.reload(None)
        flag.touch()
        await shared.reload(None)
        flag.unlink()
        with pytest.raises(RefusedError, match=r"within 10\.\d s"):
            await shared.reload(None)


async def test_log_without_a_refusal_means_that_nginx_still_reads_its_files(folder: Path, clock: FakeClock) -> None:
    log = folder / "error.log"
    log.touch()
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        flag = folder / "works"
        flag.touch()
        works = " ".join(replacing(master)[2:])
        shared = nginx(master, clock, "sh", "-c", f"test ! -e {flag} || {{ {works}; }}", error_log=log)
        await shared.reload(None)
        flag.unlink()
        with pytest.raises(RefusedError, match=r"within 120\.\d s"):
            await shared.reload(None)


async def test_log_that_cannot_be_read_is_reported_and_prolongs_no_wait(
    folder: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        shared = nginx(master, clock, error_log=folder)
        with pytest.raises(RefusedError, match=rf"within 60\.\d s .*no reason found; look for .* in {folder}"):
            await shared.reload(None)
    assert 1 <= caplog.text.count("cannot read nginx's error log") <= 2


async def test_refusal_in_the_log_ends_the_wait(folder: Path, clock: FakeClock) -> None:
    log = folder / "error.log"
    async with fake_master(folder) as master:
        await master.start_worker(ACCEPTING)
        pid = master.process.pid
        line = f"2026/03/01 12:00:01 [emerg] {pid}#{pid}: unknown directive"
        shared = nginx(master, clock, "sh", "-c", f"echo '{line}' >>{log}", error_log=log)
        with pytest.raises(RefusedError, match=r"within 3\.\d s .*\[emerg\] unknown directive"):
            await shared.reload(None)


async def test_configuration_is_read_with_what_it_includes(folder: Path, clock: FakeClock) -> None:
    (folder / "sites").mkdir()
    (folder / "nginx.conf").write_text("http { include sites/*.conf; include nginx.conf; include mime.types; }")
    (folder / "mime.types").write_text("types { }")
    for name in ("b", "a"):
        (folder / f"sites/{name}.conf").write_text(f"server {{ server_name {name}; ssl_certificate /live/{name}; }}")
    async with fake_master(folder) as master:
        shared = nginx(master, clock)
        found = await shared.configuration()
        assert [Path(one).name for one in found.files] == ["nginx.conf", "a.conf", "b.conf", "mime.types"]
        assert not found.is_tested
        assert [one.names for one in await shared.servers()] == [("a",), ("b",)]
        assert (await shared.mentions("/live/a"), await shared.mentions("/live/c")) == (True, False)
        assert list(await shared.files()) == list(found.files)
        assert await shared.named([str(folder / "sites")]) == {}


async def test_file_that_is_missing_is_named(folder: Path, clock: FakeClock) -> None:
    (folder / "nginx.conf").write_text("include none.conf;")
    async with fake_master(folder) as master:
        with pytest.raises(ReloadError, match=rf"{folder}/none.conf: No such file or directory\. Check that file"):
            await nginx(master, clock).configuration()


@pytest.mark.root
async def test_root_of_another_user_cannot_be_read(clock: FakeClock) -> None:
    with shared_folder() as folder:
        await _read_as_another_user(folder, clock)


async def _read_as_another_user(folder: Path, clock: FakeClock) -> None:
    async with fake_master(folder) as master:
        shared = nginx(master, clock)
        with as_unprivileged_user(), pytest.raises(ReloadError) as caught:
            await shared.configuration()
    assert f"through /proc/{master.process.pid}/root" in caught.value.what
    assert "same uid, gid and capabilities" in caught.value.remedy
