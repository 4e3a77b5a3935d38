"""Files that other users may change."""

import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stand.processes import find_program
from wellkeeper_client import permissions

UNPRIVILEGED = 65534
UNNAMED = 4_000_000_001


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "etc"
    folder.mkdir(0o755)
    path = folder / "file"
    path.touch(0o600)
    yield path
    folder.chmod(0o755)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o400])
def test_file_that_only_its_owner_writes_is_trusted(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert permissions.find_fault(file) is None


@pytest.mark.parametrize(("mode", "who"), [(0o620, "its group"), (0o602, "every user"), (0o666, "every user")])
def test_file_that_others_may_write_is_reported_with_the_remedy(file: Path, mode: int, who: str) -> None:
    file.chmod(mode)
    fault = permissions.find_fault(file)
    assert fault is not None
    assert fault.why == f"{who} may write to {file} (mode {mode:04o})"
    assert fault.remedy == f"Run 'chmod go-w {file}'."


def test_device_is_reported_without_a_command_that_changes_it() -> None:
    assert permissions.find_fault(Path("/dev/null")) == permissions.Fault(
        "/dev/null is a device", "Name a file instead."
    )


def test_directory_above_that_others_may_write_is_reported(file: Path) -> None:
    file.parent.chmod(0o777)
    fault = permissions.find_fault(file)
    assert fault is not None
    assert fault.why == f"every user may write to {file.parent} (mode 0777)"


def test_sticky_directory_protects_the_files_of_others(file: Path) -> None:
    file.parent.chmod(0o1777)
    assert permissions.find_fault(file) is None


@pytest.mark.parametrize("is_link_shared", [True, False])
def test_both_ends_of_a_symbolic_link_count(file: Path, tmp_path: Path, *, is_link_shared: bool) -> None:
    links = tmp_path / "links"
    links.mkdir(0o755)
    link = links / "link"
    link.symlink_to(file)
    assert permissions.find_fault(link) is None
    shared = links if is_link_shared else file.parent
    shared.chmod(0o777)
    fault = permissions.find_fault(link)
    assert fault is not None
    assert f"every user may write to {shared} " in fault.why


@pytest.mark.parametrize(("mode", "who"), [(0o775, "its group"), (0o757, "every user"), (0o1777, None), (0o755, None)])
def test_directory_of_a_socket_that_others_may_write_is_reported(file: Path, mode: int, who: str | None) -> None:
    file.chmod(0o666)
    file.parent.chmod(mode)
    fault = permissions.find_socket_fault(file)
    assert (fault.why if fault else None) == (who and f"{who} may write to {file.parent} (mode {mode:04o})")
    assert permissions.find_socket_fault(file.parent / "none/socket") is None


@pytest.mark.root
def test_directory_of_a_socket_may_belong_to_the_user_who_listens_but_not_those_above(file: Path) -> None:
    """Systemd makes it in /run for a user whose number no one else knows."""
    below = file.parent / "below"
    below.mkdir(0o755)
    os.chown(below, UNPRIVILEGED, -1)
    assert permissions.find_socket_fault(below / "socket") is None
    for user in (UNPRIVILEGED, UNPRIVILEGED - 1):
        os.chown(file.parent, user, -1)
        fault = permissions.find_socket_fault(below / "socket")
        assert fault is not None
        assert fault.why.startswith(f"{file.parent} belongs to another user")
    os.chown(file.parent, 0, -1)


@pytest.mark.root
@pytest.mark.parametrize("is_link", [False, True])
def test_directory_of_a_socket_that_any_user_could_have_created_is_reported(file: Path, *, is_link: bool) -> None:
    """The sticky bit keeps others from replacing it, but not from being first."""
    file.parent.chmod(0o1777)
    below = file.parent / "below"
    if is_link:
        (file.parent.parent / "elsewhere").mkdir(0o755)
        below.symlink_to(file.parent.parent / "elsewhere")
    else:
        below.mkdir(0o755)
    assert permissions.find_socket_fault(below / "socket") is None
    os.chown(below, UNPRIVILEGED, -1, follow_symlinks=False)
    fault = permissions.find_socket_fault(below / "socket")
    assert fault is not None
    user = pwd.getpwuid(UNPRIVILEGED).pw_name
    assert fault.why == f"{below} belongs to another user ({user}), and every user may create it (mode 1777 above)"
    assert fault.remedy == "Move the socket to a directory in /run."


@pytest.mark.root  # only root gives files away
@pytest.mark.parametrize("user", [UNPRIVILEGED, UNNAMED])
def test_what_belongs_to_another_user_is_reported(file: Path, user: int) -> None:
    name = pwd.getpwuid(user).pw_name if user == UNPRIVILEGED else f"uid {user}"
    for owned in (file, file.parent):
        os.chown(owned, user, -1)
        fault = permissions.find_fault(file)
        assert fault is not None
        assert fault.why == f"{owned} belongs to another user ({name})"
        os.chown(owned, 0, -1)


def test_missing_file_is_left_to_its_reader(file: Path) -> None:
    assert permissions.find_fault(file.with_name("none")) is None
    assert permissions.find_fault(file / "below") is None
    assert permissions.fault_of(file.with_name("none")) is None


def test_readers_are_found(file: Path) -> None:
    assert not permissions.is_readable_by_others(file)
    file.chmod(0o640)
    assert permissions.is_readable_by_others(file)
    assert not permissions.is_readable_by_all(file)
    file.chmod(0o604)
    assert permissions.is_readable_by_all(file)
    assert not permissions.is_readable_by_others(file.with_name("none"))
    assert not permissions.is_readable_by_all(file.with_name("none"))


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """Yield a mounted directory with the mode that Kubernetes gives to volumes."""
    path = tmp_path / "volume"
    path.mkdir()
    subprocess.run([find_program("mount"), "-t", "tmpfs", "-o", "mode=2777", "volume", path], check=True)
    yield path
    subprocess.run([find_program("umount"), path], check=True)


@pytest.mark.root
def test_volume_that_every_user_may_write_to_is_trusted_only_in_our_images(
    volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = volume / "file"
    file.touch(0o600)
    assert permissions.find_fault(file) is not None
    monkeypatch.setenv(permissions.VOLUMES, "1")
    assert permissions.find_fault(file) is None
    assert permissions.find_fault(file, trusts_mounts=False) is None
    assert permissions.find_socket_fault(file) is None


@pytest.mark.root
def test_directory_in_a_volume_that_others_may_write_to_is_reported(
    volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(permissions.VOLUMES, "1")
    shared = volume / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (shared / "file").touch(0o600)
    fault = permissions.find_fault(shared / "file")
    assert fault is not None
    assert f"every user may write to {shared} " in fault.why


@pytest.mark.root
def test_mounted_directory_of_another_user_is_no_volume(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(permissions.VOLUMES, "1")
    os.chown(volume, UNPRIVILEGED, UNPRIVILEGED)
    assert permissions.fault_of(volume) is not None
