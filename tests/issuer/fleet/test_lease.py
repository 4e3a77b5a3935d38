"""The lease of an engine: one issuer writes, another waits, and one that was paused writes nothing."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.issuer.fleet.relays import FakeRelay
from tests.relay.messages import signed
from wellkeeper_client.record_state import Stored, version_of
from wellkeeper_client.records import Kind
from wellkeeper_issuer.fleet.lease import SECONDS, LeasedRecords
from wellkeeper_node.errors import LeaseLostError

KEY = "node/web2"
MESSAGE = signed(KEY)


class Unreachable(FakeRelay):
    """An engine whose lease cannot be reached while it is away."""

    async def acquire(self, holder: str, seconds: int) -> str | None:
        self._check()
        return await super().acquire(holder, seconds)

    async def extend(self, lease: str, seconds: int) -> bool:
        self._check()
        return await super().extend(lease, seconds)


@pytest.fixture
def engine(clock: FakeClock) -> Unreachable:
    return Unreachable(clock)


def issuer(engine: FakeRelay, clock: FakeClock, name: str = "a") -> LeasedRecords:
    return LeasedRecords(engine, name, clock)


@asynccontextmanager
async def running(leased: LeasedRecords) -> AsyncIterator[None]:
    task = asyncio.create_task(leased.run())
    try:
        await leased.wait()
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_holder_writes_and_the_other_waits_until_it_ends(
    engine: Unreachable, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = issuer(engine, clock), issuer(engine, clock, "b")
    async with running(first):
        assert await first.put(KEY, MESSAGE) == version_of(MESSAGE)
        async with running(second):
            assert second.is_taken
            with pytest.raises(LeaseLostError, match="another issuer feeds it"):
                await second.put(KEY, MESSAGE, expected=version_of(MESSAGE))
            await run_tasks_until(lambda: len(clock.slept) > 3)
            assert caplog.text.count("this issuer does not feed the engine: another issuer feeds it") == 1
    third = issuer(engine, clock, "c")
    async with running(third):
        assert (third.is_held, third.is_taken) == (True, False)
        await third.delete(KEY, expected=version_of(MESSAGE))
        assert await third.get(KEY) is None


async def test_paused_issuer_that_comes_back_writes_nothing(engine: Unreachable, clock: FakeClock) -> None:
    leased = issuer(engine, clock)
    async with running(leased):
        clock.advance(SECONDS)  # before the issuer extends it
        other = await engine.acquire("b", SECONDS)
        assert await engine.put(KEY, MESSAGE, lease=other)
        with pytest.raises(LeaseLostError, match="the lease has ended, or another one began"):
            await leased.delete(KEY, expected=version_of(MESSAGE))
        await run_tasks_until(lambda: leased.is_taken)
        assert not leased.is_held
        assert await engine.get(KEY)


async def test_engine_that_is_away_is_neither_held_nor_taken(
    engine: Unreachable, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    engine.is_up = False
    leased = issuer(engine, clock)
    with caplog.at_level(logging.DEBUG):
        async with running(leased):
            assert not leased.is_taken
            with pytest.raises(LeaseLostError, match="does not have the lease yet"):
                await leased.put(KEY, MESSAGE)
            engine.is_up = True
            await run_tasks_until(lambda: leased.is_held)
            await leased.put(KEY, MESSAGE)
            engine.is_up = False
    assert "the lease of the engine ends in 60 s" in caplog.text


async def test_what_concerns_joining_is_not_followed(engine: Unreachable, clock: FakeClock) -> None:
    leased = issuer(engine, clock)
    await engine.put("invite/i", b"x")
    await engine.put(KEY, MESSAGE)
    async for update in leased.follow(*Kind):
        assert update.records == (Stored(KEY, MESSAGE),)
        break


async def test_lease_of_the_engine_can_be_used_directly(engine: Unreachable, clock: FakeClock) -> None:
    leased = issuer(engine, clock)
    lease = await leased.acquire("c", 5)
    assert lease
    assert await leased.extend(lease, 5)
    await leased.put(KEY, MESSAGE, lease=lease)
    assert await leased.get(KEY)
