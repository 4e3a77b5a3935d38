"""Daemon threads, which never delay the end of the program."""

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest

from wellkeeper_issuer.outside.threads import DaemonThreads


@pytest.fixture
def threads() -> DaemonThreads:
    return DaemonThreads(2, "test")


async def test_result_is_returned_to_the_loop(threads: DaemonThreads) -> None:
    name = await asyncio.get_running_loop().run_in_executor(threads, lambda: threading.current_thread().name)
    assert name in {"test-0", "test-1"}
    threads.shutdown()


async def test_exception_is_raised_in_the_loop(threads: DaemonThreads) -> None:
    with pytest.raises(ZeroDivisionError):
        await asyncio.get_running_loop().run_in_executor(threads, lambda: 1 / 0)
    threads.shutdown()


def test_threads_do_not_keep_the_program_alive(threads: DaemonThreads) -> None:
    assert threads.submit(lambda: threading.current_thread().daemon).result()
    threads.shutdown()


def test_as_many_tasks_run_at_once_as_there_are_threads(threads: DaemonThreads) -> None:
    meeting = threading.Barrier(2, timeout=10)
    both = [threads.submit(meeting.wait) for _ in range(2)]
    assert sorted(one.result() for one in both) == [0, 1]
    threads.shutdown()


def test_task_cancelled_in_the_queue_is_not_run() -> None:
    threads, gate, ran = DaemonThreads(1, "test"), threading.Event(), []
    first = threads.submit(gate.wait)
    second = threads.submit(lambda: ran.append("second"))
    assert second.cancel()
    gate.set()
    assert first.result()
    with pytest.raises(CancelledError):
        second.result()
    threads.shutdown()
    assert ran == []


def test_tasks_submitted_before_shutdown_are_still_run(threads: DaemonThreads) -> None:
    gate = threading.Event()
    waiting = [threads.submit(gate.wait) for _ in range(4)]
    threads.shutdown()
    gate.set()
    assert all(one.result() for one in waiting)


def test_tasks_are_refused_after_shutdown(threads: DaemonThreads) -> None:
    threads.shutdown()
    threads.shutdown()
    with pytest.raises(RuntimeError, match="'test' were shut down"):
        threads.submit(lambda: None)
