"""The responder while nothing takes its log: it answers, ends as usual, and logs again as soon as it can."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stand.processes import READY_SECONDS, accepts_unix
from tests.integration.test_responder_process import PYTHON, Process, arguments
from tests.lost import Sink, fill, sink
from tests.responder.http import ask
from wellkeeper_client import wire
from wellkeeper_responder.settings import UnixAddress

pytestmark = pytest.mark.integration


@asynccontextmanager
async def logging_to(folder: Path, error: int, shell: Sequence[str] = ()) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(*shell, *PYTHON, *arguments(folder), stderr=error)
    running = Process(process, UnixAddress(folder / "public.sock"), UnixAddress(folder / "control.sock"))
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not await accepts_unix(running.control.path):  # noqa: ASYNC110 - another process's
                await asyncio.sleep(0.05)
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def assert_works(running: Process) -> None:
    token = await asyncio.wait_for(running.publish(), READY_SECONDS)
    assert (await ask(running.public, "GET", wire.CHALLENGE_PREFIX + token)).status == 200
    assert (await running.stop())[0] == 0


def targets(pid: int) -> list[str]:
    """Return what standard input, output and error of the process are."""
    return [str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in range(3)]


@pytest.mark.parametrize("kind", ["full", "closed pipe", "closed socket", "stuck pipe"])
async def test_responder_whose_log_is_lost_answers_and_ends_as_usual(folder: Path, kind: Sink) -> None:
    with sink(kind) as lost:
        async with logging_to(folder, lost) as running:
            await assert_works(running)


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
async def test_no_socket_gets_the_descriptor_of_a_closed_stream(folder: Path, closed: str) -> None:
    shell = ("sh", "-c", f'exec "$0" "$@" {closed}')
    async with logging_to(folder, asyncio.subprocess.DEVNULL, shell) as running:
        streams = targets(running.process.pid)
        assert not any("socket" in target or "anon_inode" in target for target in streams)
        await assert_works(running)


async def test_log_goes_on_once_its_reader_is_back(folder: Path) -> None:
    reading, writing = os.pipe()
    try:
        fill(writing)
        async with logging_to(folder, writing) as running:
            await asyncio.wait_for(running.publish(), READY_SECONDS)
            os.set_blocking(reading, False)
            _drain(reading)
            token = await running.publish()
            assert token.encode() in os.read(reading, 65536)
    finally:
        os.close(reading)
        os.close(writing)


def _drain(pipe: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(pipe, 65536):
            pass
