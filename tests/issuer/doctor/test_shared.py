"""Work that several checks share."""

import asyncio

import pytest

from wellkeeper_issuer.doctor.shared import Shared


class Work:
    """Counts how often it began; ends when `is_free` is set."""

    def __init__(self) -> None:
        self.begun = 0
        self.was_cancelled = False
        self.is_free = asyncio.Event()

    async def run(self) -> int:
        self.begun += 1
        try:
            await self.is_free.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        return self.begun


async def test_work_is_done_once_for_all() -> None:
    work = Work()
    work.is_free.set()
    shared = Shared(work.run)
    assert list(await asyncio.gather(shared.get(), shared.get())) == [1, 1]
    assert await shared.get() == 1
    await shared.close()


async def test_check_that_gives_up_does_not_end_the_work_of_the_others() -> None:
    work = Work()
    shared = Shared(work.run)
    impatient, patient = asyncio.create_task(shared.get()), asyncio.create_task(shared.get())
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    work.is_free.set()
    assert await patient == 1


async def test_close_ends_work_that_no_check_waits_for_any_more() -> None:
    work = Work()
    shared = Shared(work.run)
    asked = asyncio.create_task(shared.get())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asked.cancel()
    await shared.close()
    assert (work.begun, work.was_cancelled) == (1, True)


async def test_failure_is_raised_for_each() -> None:
    async def fail() -> int:
        raise ValueError("no")

    shared = Shared(fail)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await shared.get()
    await shared.close()


async def test_work_that_was_never_needed_is_not_begun() -> None:
    work = Work()
    await Shared(work.run).close()
    assert work.begun == 0
