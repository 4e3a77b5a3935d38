"""Scenarios with an nginx in a shared PID namespace, in one function each.

`python -m tests.integration.shared_pid SCENARIO FOLDER` runs one of them; `test_shared_pid` does it in a PID namespace
of its own, in which no other nginx runs. Needs root.
"""

import asyncio
import codecs
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from tests.integration.pods import Pod
from tests.unprivileged import as_user
from wellkeeper_node.clock import SystemClock
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.nginx import masters, processes
from wellkeeper_node.nginx.control import Control
from wellkeeper_node.nginx.factory import HostNginx, make_nginx

CLOCK: Final = SystemClock()


async def _pod(folder: Path, *names: str, log: Path | None = None) -> Pod:
    pod = Pod(folder, names or ("a.example", "b.example"), log)
    await pod.install()
    pod.write()
    return pod


async def refusal(nginx: HostNginx) -> ReloadError:
    """Return the error of a reload."""
    try:
        await nginx.reload(None)
    except ReloadError as error:
        return error
    raise AssertionError("nginx reloaded")


async def refused_and_repaired(folder: Path) -> None:
    """A refused HUP changes nothing, and is explained by the log; after the repair, the same certificates load."""
    pod = await _pod(folder, log=folder / "error.log")
    async with pod.running():
        await pod.nginx.prove()
        before = await pod.served("a.example")
        flips = await pod.install()
        pod.write("bogus_directive on;\n")
        with pytest.raises(ReloadError, match='unknown directive "bogus_directive"'):
            await pod.reload(flips)
        assert await pod.served("a.example") == before
        pod.write()
        assert (await pod.reload(flips)).rolled_back == ()
        assert flips[0].after.endswith(await pod.served("a.example"))


async def culprit_among_eight(folder: Path) -> None:
    """The culprit is found by halving, and stays rolled back; the rest is loaded."""
    names = [f"{letter}.example" for letter in "abcdefgh"]
    pod = await _pod(folder, *names, log=folder / "error.log")
    async with pod.running():
        old = await pod.served("f.example")
        flips = await pod.install()
        pod.overwrite_key("f.example")
        reloaded = await pod.reload(flips)
        assert [one.flip.lineage for one in reloaded.rolled_back] == ["f.example"]
        assert "key values mismatch" in reloaded.rolled_back[0].words, reloaded
        assert await pod.served("f.example") == old
        for flip in flips:
            assert flip.lineage == "f.example" or flip.after.endswith(await pod.served(flip.lineage))


async def restarted(folder: Path) -> None:
    """An nginx with another process id is found again."""
    pod = await _pod(folder)
    async with pod.running():
        await pod.reload(await pod.install())
    error = await refusal(pod.nginx)
    assert "cannot find the nginx master" in error.what, error
    assert "docs/reaching-nginx.md" in error.remedy, error
    async with pod.running(number=1):
        flips = await pod.install()
        await pod.reload(flips)
        assert flips[0].after.endswith(await pod.served("a.example"))


async def two_masters(folder: Path) -> None:
    """Several masters are named, each with its user."""
    pod = await _pod(folder)
    (folder / "other").mkdir()
    other = await _pod(folder / "other")
    async with pod.running() as first, other.running(worker_count=4) as second:
        error = await refusal(pod.nginx)
    assert "several nginx masters" in error.what, error
    assert f"process {first.pid} (uid 0): 'nginx: master process /nginx -g daemon off;'" in error.why, error
    assert f"process {second.pid} (uid 0)" in error.why, error
    assert "nginx.pid_file" in error.remedy, error


def _open_to_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)


async def of_another_user(folder: Path) -> None:
    """A master of a user who is neither root nor we is refused, and named."""
    pod = await _pod(folder)
    _open_to_all(folder)
    async with pod.running("/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") as process:
        error = await refusal(pod.nginx)
    assert "neither as root nor as uid 0" in error.what, error
    assert f"process {process.pid} (uid 65534)" in error.why, error


def _give(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)


async def without_capabilities(folder: Path) -> None:
    """The same uid and gid are enough to find, read and reload nginx."""
    pod = await _pod(folder)
    _give(folder)
    async with pod.running("/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"):
        codecs.lookup("idna")  # its module may be out of reach for that user
        with as_user(65534, 65534):
            await pod.nginx.prove()
            assert (await pod.nginx.servers())[0].names == ("a.example",)
            flips = await pod.install()
            await pod.reload(flips)
        assert flips[0].after.endswith(await pod.served("a.example"))


async def configuration(folder: Path) -> None:
    """The configuration is read through the root of the master, with its links."""
    pod = await _pod(folder)
    async with pod.running():
        found = await pod.nginx.configuration()
        assert found.files == ("/etc/nginx/nginx.conf", "/etc/nginx/enabled/sites.conf"), found.files
        servers = await pod.nginx.servers()
        chain = pod.chain("a.example")
        assert servers[0].chain_paths == {str(chain)}, servers
        assert await pod.nginx.mentions(pod.folders.live_path("b.example"))
        archive = str(chain.parent)
        assert await pod.nginx.named([archive]) == {archive: "/etc/nginx/enabled/sites.conf:1"}


async def of_an_inner_namespace(folder: Path) -> None:
    """An nginx of an inner PID namespace is not ours; with its pid in a file, its words are found in the log."""
    log = folder / "error.log"
    pod = await _pod(folder, log=log)
    async with pod.running("/usr/bin/unshare", "--pid", "--fork", "--kill-child") as process:
        assert "cannot find the nginx master" in (await refusal(pod.nginx)).what
        (child,) = processes.children_of(process.pid)
        pid_file = folder / "outer.pid"
        pid_file.write_text(str(child.pid))
        nginx = make_nginx(Control(pid_file=pid_file, test="reload", error_log=log), CLOCK)
        assert await nginx.reload(None) >= 0
        pod.write("bogus_directive on;\n")
        error = await refusal(nginx)
        assert "bogus_directive" in error.why, error
        os.kill(child.pid, signal.SIGTERM)


async def upgrade(folder: Path) -> None:
    """A binary upgrade that has not ended is an error: two masters could reload."""
    pod = await _pod(folder)
    async with pod.running("/usr/bin/sh", "-c", "/nginx && exec sleep 600"):
        os.kill(masters.find_master(None).pid, signal.SIGUSR2)
        while "a binary upgrade of nginx is in progress" not in _unfound():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


def _unfound() -> str:
    try:
        masters.find_master(None)
    except ReloadError as error:
        return error.what
    return ""


SCENARIOS: Final[dict[str, Callable[[Path], Awaitable[None]]]] = {
    one.__name__: one
    for one in (
        refused_and_repaired,
        culprit_among_eight,
        restarted,
        two_masters,
        of_another_user,
        without_capabilities,
        configuration,
        of_an_inner_namespace,
        upgrade,
    )
}

if __name__ == "__main__":
    asyncio.run(SCENARIOS[sys.argv[1]](Path(sys.argv[2])))  # type: ignore[arg-type]
