"""SIGTERM ends a command in order, whenever it arrives."""

import asyncio
import signal
from collections.abc import Callable, Coroutine

import pytest

from wellkeeper_issuer.commands.terminal import interrupts


def terminate() -> None:
    signal.raise_signal(signal.SIGTERM)


async def wait() -> None:
    asyncio.get_running_loop().call_soon(terminate)
    await asyncio.Event().wait()


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


@pytest.mark.parametrize("work", [wait, end_with_the_signal, leave_a_task_behind])
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
