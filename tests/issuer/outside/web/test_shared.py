"""A value that is made once for several requests."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.fakes import FakeClock, run_tasks_until
from wellkeeper_issuer.outside.web.shared import (
    FRESH_SECONDS,
    LONGEST_PAUSE_SECONDS,
    SHORTEST_PAUSE_SECONDS,
    Kept,
    Shared,
)


class Work:
    """Counts its calls, all in another thread than the event loop's; each waits for `is_free`, and takes `seconds`."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self._clock = clock or FakeClock()
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self.count = 0
        self.loop_thread = threading.get_ident()
        self.error: Exception | None = None
        self.is_free = threading.Event()
        self.is_free.set()

    def __call__(self) -> str:
        assert threading.get_ident() != self.loop_thread
        assert self.is_free.wait(timeout=60)
        self._clock.advance(self.seconds)
        self.cpu_seconds += self.seconds / 2
        self.count += 1
        if self.error:
            raise self.error
        return str(self.count)


async def test_requests_within_seconds_share_one_value() -> None:
    clock, work = FakeClock(), Work()
    value = Shared(work, clock)
    assert await asyncio.gather(*(value.get() for _ in range(5))) == ["1"] * 5
    assert await value.get() == "1"
    clock.advance(FRESH_SECONDS)
    assert await value.get() == "2"


async def test_failure_is_raised_and_tried_again_by_the_next_request() -> None:
    work = Work()
    value = Shared(work, FakeClock())
    work.error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        await value.get()
    work.error = None
    assert await value.get() == "2"


async def test_request_that_ends_early_does_not_end_the_work_for_others() -> None:
    work = Work()
    value = Shared(work, FakeClock())
    work.is_free.clear()
    first, second = asyncio.create_task(value.get()), asyncio.create_task(value.get())
    await asyncio.sleep(0)
    first.cancel()
    work.is_free.set()
    assert await second == "1"


def kept(clock: FakeClock, work: Work) -> Kept[str]:
    return Kept(work, clock, lambda: work.cpu_seconds)


@asynccontextmanager
async def keeping(value: Kept[str]) -> AsyncIterator[None]:
    task = asyncio.create_task(value.keep())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_request_gets_the_last_value_while_the_next_one_takes_long() -> None:
    clock = FakeClock()
    work = Work(clock)
    value = kept(clock, work)
    work.seconds = 0.2
    assert await value.get() == "1"
    clock.advance(2 * SHORTEST_PAUSE_SECONDS - 1)
    work.is_free.clear()
    assert [await value.get(), await value.get()] == ["1", "1"]
    work.is_free.set()
    async with asyncio.timeout(60):
        while await value.get() != "2":  # noqa: ASYNC110 - a thread
            await asyncio.sleep(0.01)
    clock.advance(2 * SHORTEST_PAUSE_SECONDS)
    assert await value.get() == "3"


async def test_request_waits_briefly_for_a_value_that_was_made_quickly() -> None:
    clock, work = FakeClock(), Work()
    value = kept(clock, work)
    assert await value.get() == "1"
    clock.advance(FRESH_SECONDS)
    work.is_free.clear()
    assert await value.get() == "1"
    work.is_free.set()
    async with asyncio.timeout(60):
        while await value.get() != "2":  # noqa: ASYNC110 - a thread
            await asyncio.sleep(0.01)


async def test_value_that_takes_long_is_made_again_in_time() -> None:
    clock = FakeClock()
    work = Work(clock)
    value = kept(clock, work)
    work.seconds = 0.2
    async with keeping(value):
        assert await value.get() == "1"
        await run_tasks_until(lambda: work.count == 3)
    assert int(await value.get()) >= 3


@pytest.mark.parametrize(("seconds", "pause"), [(0.2, SHORTEST_PAUSE_SECONDS), (1.6, 80), (20, LONGEST_PAUSE_SECONDS)])
async def test_value_that_takes_longer_is_made_less_often(seconds: float, pause: float) -> None:
    clock = FakeClock()
    work = Work(clock)
    value = kept(clock, work)
    work.seconds = seconds
    async with keeping(value):
        await value.get()
        await run_tasks_until(lambda: work.count == 2)
    assert clock.slept[0] == pytest.approx(pause)


async def test_value_that_is_made_quickly_again_is_no_longer_kept() -> None:
    clock = FakeClock()
    work = Work(clock)
    value = kept(clock, work)
    work.seconds = 0.2
    async with keeping(value):
        await value.get()
        work.seconds = 0.0
        async with asyncio.timeout(60):
            while await value.get() != "2":  # noqa: ASYNC110 - a thread
                await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert work.count == 2


async def test_value_that_takes_a_tenth_of_a_second_is_not_kept() -> None:
    clock = FakeClock()
    work = Work(clock)
    value = kept(clock, work)
    work.seconds = 0.1
    async with keeping(value):
        await value.get()
        for _ in range(100):
            await asyncio.sleep(0)
        assert (work.count, clock.slept) == (1, [])


async def test_first_value_which_may_load_code_is_followed_by_the_next_at_once_if_it_took_long() -> None:
    clock = FakeClock()
    work = Work(clock)
    value = kept(clock, work)
    work.seconds = 0.2
    await value.prepare(60)
    work.seconds = 0.0
    async with keeping(value):
        async with asyncio.timeout(60):
            while await value.get() != "2":  # noqa: ASYNC110 - a thread
                await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert (work.count, clock.slept) == (2, [])


async def test_failure_is_reported_and_ends_when_the_value_can_be_made_again() -> None:
    clock = FakeClock()
    work = Work(clock)
    value = kept(clock, work)
    assert await value.get() == "1"
    work.error = OSError("gone")
    await value.prepare(60)
    with pytest.raises(OSError, match="gone"):
        await value.get()
    async with keeping(value):
        work.error = None
        await run_tasks_until(lambda: work.count > 3)
    assert await value.get() == str(work.count)


async def test_start_waits_only_for_a_while_for_the_first_value() -> None:
    work = Work()
    value = kept(FakeClock(), work)
    work.is_free.clear()
    await value.prepare(0.01)
    assert work.count == 0
    work.is_free.set()
    await value.prepare(60)
    assert work.count == 1
