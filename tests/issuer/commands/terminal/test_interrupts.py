"""SIGTERM ends a command in order, whenever it arrives."""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine

import pytest

from wellkeeper_issuer.commands.terminal import interrupts


def terminate() -> None:
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)


async def wait() -> None:
    asyncio.get_running_loop().call_soon(terminate)
    await asyncio.Event().wait()


async def wait_while_a_thread_gets_it() -> None:
    """Let the signal arrive in a thread, which interrupts no call of the main one."""
    is_waiting = threading.Event()

    def signalled() -> None:
        is_waiting.wait()
        terminate()

    threading.Thread(target=signalled).start()
    loop = asyncio.get_running_loop()
    loop.call_soon(is_waiting.set)
    latest = loop.time() + 30
    try:
        async with asyncio.timeout_at(latest):
            await asyncio.Event().wait()
    finally:
        assert loop.time() < latest


async def end_with_the_signal() -> None:
    """End in the cycle of the loop in which the signal arrives."""
    terminate()


async def leave_a_task_behind() -> None:
    """Let the signal arrive when the work has ended and the loop has not."""

    async def clean_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            terminate()

    tasks = {asyncio.create_task(clean_up())}
    await asyncio.sleep(0)
    assert tasks


@pytest.mark.parametrize("work", [wait, wait_while_a_thread_gets_it, end_with_the_signal, leave_a_task_behind])
@pytest.mark.parametrize("times", [1, 2])
def test_signal_is_never_lost(work: Callable[[], Coroutine[None, None, None]], times: int) -> None:
    with interrupts.terminable():
        before = signal.getsignal(signal.SIGTERM)
        for _ in range(times):
            with pytest.raises(interrupts.Terminated):
                interrupts.run(work())
        assert signal.getsignal(signal.SIGTERM) is before
        with pytest.raises(interrupts.Terminated):
            terminate()


def test_result_and_error_of_the_work_arrive() -> None:
    async def work(result: int) -> int:
        return 6 // result

    assert interrupts.run(work(2)) == 3
    with pytest.raises(ZeroDivisionError):
        interrupts.run(work(0))
