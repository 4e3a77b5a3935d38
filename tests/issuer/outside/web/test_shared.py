"""A value that is made once for several requests."""

import asyncio
import threading

import pytest

from tests.fakes import FakeClock
from wellkeeper_issuer.outside.web.shared import FRESH_SECONDS, Shared


class Work:
    """Counts its calls, all in another thread than the event loop's; each waits for `is_free`."""

    def __init__(self) -> None:
        self.count = 0
        self.loop_thread = threading.get_ident()
        self.error: Exception | None = None
        self.is_free = threading.Event()
        self.is_free.set()

    def __call__(self) -> str:
        assert threading.get_ident() != self.loop_thread
        assert self.is_free.wait(timeout=60)
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


async def test_requests_get_a_usable_value_while_a_new_one_takes_long() -> None:
    clock, work = FakeClock(), Work()
    value = Shared(work, clock, usable_seconds=60)
    assert await value.get() == "1"
    clock.advance(59)
    work.is_free.clear()
    assert [await value.get(), await value.get()] == ["1", "1"]
    work.is_free.set()
    async with asyncio.timeout(60):
        while await value.get() != "2":  # noqa: ASYNC110 - a thread
            await asyncio.sleep(0.01)
    clock.advance(60)
    assert await value.get() == "3"


async def test_usable_value_hides_no_failure_for_longer() -> None:
    clock, work = FakeClock(), Work()
    value = Shared(work, clock, usable_seconds=60)
    await value.get()
    clock.advance(60)
    work.error = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        await value.get()


async def test_request_that_ends_early_does_not_end_the_work_for_others() -> None:
    work = Work()
    value = Shared(work, FakeClock())
    work.is_free.clear()
    first, second = asyncio.create_task(value.get()), asyncio.create_task(value.get())
    await asyncio.sleep(0)
    first.cancel()
    work.is_free.set()
    assert await second == "1"
