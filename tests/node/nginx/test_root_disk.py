"""Files below another root: links stay inside it, wherever they lead."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from wellkeeper_node.nginx.disk import Disk, HostDisk
from wellkeeper_node.nginx.root_disk import RootDisk

SECRET = "a secret outside of the root"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root with a file, links to it, and links that would lead out of it."""
    (tmp_path / "secret").write_text(SECRET)
    root = tmp_path / "root"
    (root / "etc/nginx/sites").mkdir(parents=True)
    for name in ("a.conf", "b.conf", ".hidden.conf"):
        (root / "etc/nginx/sites" / name).write_text(name)
    (root / "secret").write_text("inside")
    links = {
        "absolute": "/etc/nginx/sites/a.conf",
        "relative": "nginx/sites/a.conf",
        "folder": "/etc/nginx",
        "above": "../../../../../../secret",
        "out": f"{tmp_path}/secret",
        "loop": "loop",
    }
    for name, target in links.items():
        (root / "etc" / name).symlink_to(target)
    return root


def test_absolute_and_relative_links_stay_inside(root: Path) -> None:
    disk = RootDisk(root)
    for path in ("/etc/absolute", "/etc/relative", "/etc/folder/sites/a.conf", "/etc/./folder/../nginx/sites//a.conf"):
        assert disk.read(path) == b"a.conf"
        assert disk.real_path(path) == "/etc/nginx/sites/a.conf"
    assert disk.read("/etc/above") == b"inside"
    assert disk.real_path("/..") == "/"


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/etc/out", errno.ENOENT),
        ("/etc/loop", errno.ELOOP),
        ("/etc/nginx", errno.EINVAL),
        ("/etc/nginx/sites/a.conf/more", errno.ENOTDIR),
        ("/fifo", errno.EINVAL),
    ],
)
def test_what_is_no_file_of_the_root_is_an_error(root: Path, path: str, number: int) -> None:
    os.mkfifo(root / "fifo")
    with pytest.raises(OSError, match=r".") as caught:
        RootDisk(root).read(path)
    assert caught.value.errno == number


def test_file_that_is_too_long_is_an_error(root: Path) -> None:
    with (root / "long").open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    with pytest.raises(OSError, match="too large"):
        RootDisk(root).read("/long")


def test_directory_that_becomes_a_link_leads_nowhere_else(root: Path) -> None:
    """Another process of the container may replace a directory at any moment; the kernel follows no link here."""
    disk = RootDisk(root)
    assert disk.read("/etc/nginx/sites/a.conf")
    (root / "etc/nginx").rename(root / "etc/before")
    (root / "etc/nginx").symlink_to(root.parent)
    with pytest.raises(FileNotFoundError):
        disk.read("/etc/nginx/secret")


def test_path_that_does_not_exist_stays_as_it_is(root: Path) -> None:
    assert RootDisk(root).real_path("/etc/none/../x") == "/etc/x"


def test_links_have_a_status_of_their_own(root: Path) -> None:
    disk, link = RootDisk(root), root / "etc/absolute"
    assert disk.stat("/etc/absolute", follows=False).st_ino == link.lstat().st_ino
    assert disk.stat("/etc/absolute").st_ino == (root / "etc/nginx/sites/a.conf").stat().st_ino


@pytest.mark.parametrize("make", [lambda _: HostDisk(), RootDisk], ids=["host", "root"])
def test_disks_agree_on_the_root_of_this_host(root: Path, make: Callable[[Path], Disk]) -> None:
    disk, sites = make(Path("/")), f"{root}/etc/nginx/sites"
    assert sorted(disk.glob(f"{sites}/*.conf")) == [f"{sites}/a.conf", f"{sites}/b.conf"]
    assert sorted(disk.glob(f"{root}/etc/n*/sites/[ab].conf")) == [f"{sites}/a.conf", f"{sites}/b.conf"]
    assert list(disk.glob(f"{sites}/.h*.conf")) == [f"{sites}/.hidden.conf"]
    assert list(disk.glob(f"{sites}/none*")) == list(disk.glob(f"{root}/none/*")) == []
    assert list(disk.glob(f"{sites}/*/x")) == []
    assert list(disk.glob(f"{root}/etc/out")) == [f"{root}/etc/out"]
    assert disk.read(f"{sites}/a.conf") == b"a.conf"
    assert disk.real_path(f"{root}/etc/relative") == f"{sites}/a.conf"
    assert disk.stat(sites).st_ino == Path(sites).stat().st_ino
    assert disk.stat(f"{root}/etc/out", follows=False).st_ino == (root / "etc/out").lstat().st_ino
