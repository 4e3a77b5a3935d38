"""`state.lock`: ownership of the state, and detecting its loss."""

import asyncio
import fcntl
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Final

import pytest

from wellkeeper_client import services
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.outside.state.lock import LOCK, LocalOwnership, find_owner

_STOP: Final = services.sentence("stop", "wellkeeper").removesuffix(".")
_HOLDER: Final = """
import asyncio, sys
from pathlib import Path
from wellkeeper_issuer.outside.state.lock import LocalOwnership

async def hold():
    async with LocalOwnership(Path(sys.argv[1])).hold("run"):
        print("holds", flush=True)
        await asyncio.Event().wait()

asyncio.run(hold())
"""


async def test_owner_is_found_while_it_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / LOCK
    assert find_owner(path) is None
    async with LocalOwnership(tmp_path).hold("run"):
        assert find_owner(path) == (os.getpid(), "run")
    assert find_owner(path) is None


def test_pid_reused_by_another_process_is_not_the_owner(tmp_path: Path) -> None:
    path = tmp_path / LOCK
    path.write_text(f"{os.getpid()} run\n")  # our own pid, but without the lock
    assert find_owner(path) is None


@pytest.mark.parametrize(
    "text", ["", "nonsense", "99999999 run\n", "\udcff"], ids=["empty", "garbage", "dead process", "not text"]
)
def test_leftover_of_a_crash_is_not_an_owner(tmp_path: Path, text: str) -> None:
    path = tmp_path / LOCK
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert find_owner(path) is None


async def test_killed_owner_does_not_block_the_next(tmp_path: Path) -> None:
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", _HOLDER, str(tmp_path), stdout=PIPE)
    try:
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"holds\n"
        with pytest.raises(JournalError, match=rf"\(pid {holder.pid}\) already manages"):
            await LocalOwnership(tmp_path).hold("renew").__aenter__()
    finally:
        holder.kill()
        await holder.wait()
    async with LocalOwnership(tmp_path).hold("run") as held:
        await held.extend()
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()} run\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "run",
            f"A Wellkeeper daemon (pid {{pid}}) already manages {{folder}}. {_STOP} first.",
        ),
        ("renew", "'wellkeeper renew' (pid {pid}) is changing {folder}. Wait until it ends."),
    ],
)
async def test_refusal_names_the_owner_and_the_remedy(tmp_path: Path, command: str, words: str) -> None:
    async with LocalOwnership(tmp_path).hold(command):
        with pytest.raises(JournalError) as refused:
            await LocalOwnership(tmp_path).hold("renew").__aenter__()
    assert str(refused.value) == words.format(pid=os.getpid(), folder=tmp_path)


async def test_replaced_directory_means_lost_ownership(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    async with LocalOwnership(folder).hold("run") as held:
        folder.rename(tmp_path / "moved")
        folder.mkdir()
        async with LocalOwnership(folder).hold("run"):
            with pytest.raises(JournalError) as lost:
                await held.extend()
        assert held.lost.is_set()
    assert str(lost.value) == (
        f"this process (pid {os.getpid()}) no longer owns {folder}: state.lock was replaced by another file. Make sure"
        " that nothing deletes or replaces state_dir or its files, then start it again."
    )


async def test_lock_given_to_another_process_means_lost_ownership(tmp_path: Path) -> None:
    path = tmp_path / LOCK
    async with LocalOwnership(tmp_path).hold("run") as held:
        _unlock(path)
        with path.open() as other:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with pytest.raises(JournalError, match=r"no longer owns .*: another process has locked state\.lock"):
                await held.extend()


async def test_unreadable_lock_file_means_lost_ownership(tmp_path: Path) -> None:
    path = tmp_path / LOCK
    async with LocalOwnership(tmp_path).hold("run") as held:
        path.unlink()
        path.symlink_to(path)
        with pytest.raises(JournalError, match=r"state\.lock cannot be checked: Too many levels of symbolic links"):
            await held.extend()


async def test_unwritable_directory_is_named() -> None:
    # Not even root can create files there.
    with pytest.raises(JournalError, match=r"/proc/state\.lock: .*Check space and permissions of state_dir"):
        await LocalOwnership(Path("/proc")).hold("run").__aenter__()


def _unlock(path: Path) -> None:
    """Release the lock, as a restarted file server does."""
    for link in Path("/proc/self/fd").iterdir():
        if link.exists() and link.samefile(path):
            fcntl.flock(int(link.name), fcntl.LOCK_UN)
