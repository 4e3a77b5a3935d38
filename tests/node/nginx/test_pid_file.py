"""The empty pid file that `nginx -t` and `nginx -T` create where it is missing."""

from pathlib import Path

import pytest

from tests.fakes import FakeClock
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.local import LocalNginx
from wellkeeper_node.nginx.pid_file import kept_absent


def left(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


def fail(pid_file: Path) -> None:
    pid_file.touch()
    raise KeyError


def nginx(folder: Path, clock: FakeClock, words: str, exit_code: int = 0) -> LocalNginx:
    """Return an nginx that makes the pid file, as the real one does, and prints these words."""
    script = f"touch {folder}/nginx.pid; printf '{words}'; exit {exit_code}"
    return LocalNginx(Control(("sh", "-c", script), folder / "nginx.pid"), clock)


@pytest.mark.parametrize("exit_code", [0, 1])
async def test_test_of_a_stopped_nginx_leaves_no_pid_file(folder: Path, clock: FakeClock, exit_code: int) -> None:
    assert (await nginx(folder, clock, "words", exit_code).test()).passed is (exit_code == 0)
    assert left(folder) == []


async def test_configuration_of_a_stopped_nginx_is_read_without_leaving_a_pid_file(
    folder: Path, clock: FakeClock
) -> None:
    found = await nginx(folder, clock, r"# configuration file /n.conf:\nuser a;\n").configuration()
    assert found.files == ("/n.conf",)
    with pytest.raises(ReloadError):
        await nginx(folder, clock, "no", 1).files()
    assert left(folder) == []


async def test_empty_pid_file_that_was_there_before_stays(folder: Path, clock: FakeClock) -> None:
    (folder / "nginx.pid").touch()
    await nginx(folder, clock, "words").test()
    assert (folder / "nginx.pid").exists()


def test_pid_file_of_an_nginx_that_starts_meanwhile_stays(folder: Path) -> None:
    with kept_absent(folder / "nginx.pid"):
        (folder / "nginx.pid").write_text("4711\n")
    assert (folder / "nginx.pid").read_text() == "4711\n"


def test_link_stays_whether_it_leads_to_a_file_or_not(folder: Path) -> None:
    (folder / "other").touch()
    with kept_absent(folder / "nginx.pid"):
        (folder / "nginx.pid").symlink_to("other")
    assert (folder / "nginx.pid").is_symlink()
    (folder / "dangling.pid").symlink_to("missing")
    with kept_absent(folder / "dangling.pid"):
        (folder / "missing").touch()
    assert (folder / "missing").exists()


def test_pid_file_is_removed_after_an_error(folder: Path) -> None:
    with pytest.raises(KeyError), kept_absent(folder / "nginx.pid"):
        fail(folder / "nginx.pid")
    assert left(folder) == []
