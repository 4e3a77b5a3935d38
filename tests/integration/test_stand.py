"""The stand: it leaves nothing running, and reports why a process did not start."""

import asyncio
import signal
from pathlib import Path

import pytest

from stand.processes import Process, StandError
from tests.processes import is_running

pytestmark = pytest.mark.integration


async def at_once() -> bool:
    return True


async def never() -> bool:
    return False


def shell(folder: Path, script: str) -> Process:
    return Process("a shell", ["sh", "-c", script], folder / "log")


async def test_process_that_ends_too_early_is_reported_with_its_last_output(folder: Path) -> None:
    with pytest.raises(StandError, match=r"(?s)a shell ended with 3: .*no such socket"):
        await shell(folder, "echo no such socket; exit 3").start(never)


async def test_process_that_is_never_ready_is_reported_and_stopped(folder: Path) -> None:
    process = shell(folder, "echo waiting; exec sleep 60")
    with pytest.raises(StandError, match=r"(?s)not ready after 0.1 s.*waiting"):
        await process.start(never, timeout_seconds=0.1)
    assert process.return_code == -signal.SIGTERM


async def test_cancelled_start_leaves_nothing_running(folder: Path) -> None:
    process = shell(folder, "exec sleep 60")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await process.start(never)
    assert process.return_code == -signal.SIGTERM


async def test_children_of_a_process_end_with_it(folder: Path) -> None:
    process = shell(folder, "sleep 60 & echo $! >&2; exec sleep 61")
    await process.start(at_once)
    while not process.log.read_text():  # noqa: ASYNC110 - another process's
        await asyncio.sleep(0.01)
    child = int(process.log.read_text())
    assert is_running(child)
    await process.stop()
    while is_running(child):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)


async def test_process_that_ignores_term_is_killed(folder: Path) -> None:
    process = shell(folder, "trap '' TERM; echo ignoring; while :; do sleep 0.1; done")
    await process.start(at_once)
    while not process.log.read_text():  # noqa: ASYNC110 - another process's
        await asyncio.sleep(0.01)
    await process.stop()
    assert process.return_code == -signal.SIGKILL
