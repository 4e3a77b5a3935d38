"""The stand: it leaves nothing running, reports why a process did not start, and keeps faults for what they are for."""

import asyncio
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stand.fault_proxy import Kind
from stand.faults import problem
from stand.processes import Process, StandError
from tests.integration.misbehaving import misbehaving
from tests.processes import is_running, with_more_time

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
    async def is_shown(seconds: float) -> bool:
        process = shell(folder, "echo waiting; exec sleep 60")
        with pytest.raises(StandError, match=rf"not ready after {seconds:g} s") as caught:
            await process.start(never, timeout_seconds=seconds)
        assert process.return_code == -signal.SIGTERM
        return "waiting" in str(caught.value).partition("\n")[2]

    assert await with_more_time(is_shown)


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
    await process.stop(0.5)
    assert process.return_code == -signal.SIGKILL


async def test_order_that_pebble_does_not_understand_uses_up_no_fault(folder: Path) -> None:
    async with misbehaving(folder) as ca:
        await ca.serves()
        with closing(sqlite3.connect(ca.host.issuer.state_dir / "state.db")) as connection, connection:
            key = "substr(certificate_id, 1, instr(certificate_id, '.'))"
            connection.execute(f"UPDATE schedules SET certificate_id = {key} || 'AKgomP6WVZI'")  # noqa: S608 - constants
        ca.proxy.asked.clear()
        ca.proxy.stage(Kind.NEW_ORDER, problem(429, "rateLimited", "too many new orders"))
        await ca.fails("order", "too many new orders")
        ordered = [one for one in ca.proxy.asked if one.kind is Kind.NEW_ORDER]
        assert [one.is_not_understood for one in ordered] == [True, False]
