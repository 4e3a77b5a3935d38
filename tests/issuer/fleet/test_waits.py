"""Waiting for events of the relay."""

import asyncio

from tests.fakes import FakeClock
from wellkeeper_issuer.fleet.waits import until
from wellkeeper_node.clock import SystemClock


async def test_event_that_was_set_counts_although_it_is_cleared_again_at_once() -> None:
    event = asyncio.Event()
    waiting = asyncio.create_task(until(SystemClock(), 60, event))
    for _ in range(2):  # the first turn starts the task, the second one its wait for the event
        await asyncio.sleep(0)
    event.set()
    event.clear()
    assert await waiting


async def test_time_that_is_over_is_no_event(clock: FakeClock) -> None:
    assert not await until(clock, 60, asyncio.Event())
