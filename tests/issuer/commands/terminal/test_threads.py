"""Threads that never delay the exit."""

import asyncio
import sys
import threading
from pathlib import Path

import pytest

from wellkeeper_issuer.commands.terminal.threads import AbandonedThreads, run_apart
from wellkeeper_node.process import run

_HANGS = """\
import asyncio, threading
from wellkeeper_issuer.commands.terminal.threads import AbandonedThreads

async def main():
    asyncio.get_running_loop().set_default_executor(AbandonedThreads())
    try:
        async with asyncio.timeout(0.01):
            await asyncio.to_thread(threading.Event().wait)
    except TimeoutError:
        print("gave up")

asyncio.run(main())
"""
_HANGS_APART = """\
import asyncio, threading
from wellkeeper_issuer.commands.terminal.threads import run_apart

async def main():
    try:
        async with asyncio.timeout(0.01):
            await run_apart(threading.Event().wait)
    except TimeoutError:
        print("gave up")

asyncio.run(main())
"""


async def test_results_and_errors_arrive() -> None:
    asyncio.get_running_loop().set_default_executor(AbandonedThreads())
    assert await asyncio.to_thread(Path("/").exists)
    with pytest.raises(FileNotFoundError):
        await asyncio.to_thread(Path("/does/not/exist").read_text)
    assert await run_apart(Path("/").exists)


@pytest.mark.parametrize("of_loop", [True, False], ids=["default executor", "one call"])
async def test_call_that_hangs_does_not_delay_the_exit(*, of_loop: bool) -> None:
    script = _HANGS if of_loop else _HANGS_APART
    finished = await run([sys.executable, "-c", script], 120)
    assert (finished.exit_code, finished.output) == (0, "gave up\n")


def test_call_cannot_be_cancelled_once_it_was_submitted() -> None:
    is_free = threading.Event()
    future = AbandonedThreads().submit(is_free.wait)
    assert not future.cancel()
    is_free.set()
    assert future.result(60)
