"""The lease of an engine: one issuer writes, another waits, and one that was paused writes nothing."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.issuer.fleet.relays import FakeRelay
from tests.relay.messages import signed
from wellkeeper_client.record_state import Stored, version_of
from wellkeeper_client.records import Kind
from wellkeeper_issuer.fleet.lease import SECONDS, LeasedRecords
from wellkeeper_issuer.fleet.leased_relay import LeasedRelay
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


class Slow(FakeRelay):
    """An engine that answers each question about the lease once `may_answer`."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.may_answer, self.is_asked = asyncio.Event(), asyncio.Event()
        self.may_answer.set()

    async def extend(self, lease: str, seconds: int) -> bool:
        self.is_asked.set()
        await self.may_answer.wait()
        return await super().extend(lease, seconds)


class Defective(FakeRelay):
    """An engine at which the code fails."""

    async def acquire(self, holder: str, seconds: int) -> str | None:
        raise AttributeError(holder, seconds)


@pytest.fixture
def engine(clock: FakeClock) -> Unreachable:
    return Unreachable(clock)


def issuer(engine: FakeRelay, clock: FakeClock, name: str = "a") -> LeasedRecords:
    return LeasedRecords(engine, name, clock)


@asynccontextmanager
async def running(leased: LeasedRecords) -> AsyncIterator[LeasedRecords]:
    task = asyncio.create_task(leased.run())
    try:
        await leased.wait()
        yield leased
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until_written(leased: LeasedRecords) -> None:
    while True:
        await asyncio.sleep(0)
        with suppress(LeaseLostError):
            await leased.put(KEY, MESSAGE)
            return


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


async def test_paused_issuer_asks_the_engine_before_anything_else(engine: Unreachable, clock: FakeClock) -> None:
    leased = issuer(engine, clock)
    async with running(leased):
        await leased.check()
        clock.advance(SECONDS)
        other = await engine.acquire("web2 pid 7 a", SECONDS)
        with pytest.raises(LeaseLostError, match="cannot write into the relay: another issuer feeds the engine"):
            await leased.check()
        assert leased.is_taken
        assert await leased.holder() == "web2 pid 7 a"
        waiting = asyncio.create_task(leased.until_free())
        await run_tasks_until(lambda: len(clock.slept) > 3)
        assert not waiting.done()
        assert other
        await engine.extend(other, 0)
        await waiting
        await leased.check()


async def test_paused_issuer_waits_for_the_answer_to_a_question_that_is_under_way(clock: FakeClock) -> None:
    engine = Slow(clock)
    leased = issuer(engine, clock)
    async with running(leased):
        engine.may_answer.clear()
        clock.advance(SECONDS)
        assert await engine.acquire("b", SECONDS)
        await engine.is_asked.wait()
        checks = asyncio.gather(leased.check(), leased.check(), return_exceptions=True)
        await asyncio.sleep(0)
        engine.may_answer.set()
        assert [type(one) for one in await checks] == [LeaseLostError] * 2


async def test_issuer_whose_host_slept_asks_the_engine(engine: Unreachable, clock: FakeClock) -> None:
    leased = issuer(engine, clock)
    async with running(leased):
        engine.restart()
        assert await engine.acquire("b", 2 * SECONDS)
        clock.step(SECONDS)  # only the wall clock
        with pytest.raises(LeaseLostError):
            await leased.check()


async def test_paused_issuer_is_stopped_by_no_engine_that_is_away(engine: Unreachable, clock: FakeClock) -> None:
    leased = issuer(engine, clock)
    async with running(leased):
        clock.advance(SECONDS)
        engine.is_up = False
        await leased.check()
        await leased.until_free()


async def test_relay_is_written_only_while_no_other_issuer_has_the_lease(engine: Unreachable, clock: FakeClock) -> None:
    relay, leased = FakeRelay(clock), issuer(engine, clock)
    written = LeasedRelay(relay, leased)
    async with running(leased):
        other = "node/web3"
        await written.delete(other, expected=await written.put(other, signed(other)))
        version = await written.put(KEY, MESSAGE)
        clock.advance(SECONDS)
        await engine.acquire("b", SECONDS)
        with pytest.raises(LeaseLostError):
            await written.put(other, signed(other))
        with pytest.raises(LeaseLostError):
            await written.delete(KEY, expected=version)
    assert await relay.keys(Kind.NODE) == [KEY]
    assert await written.get(KEY)
    async for update in written.follow(Kind.NODE):
        assert update.records == (Stored(KEY, MESSAGE),)
        break
    lease = await written.acquire("c", 5)
    assert lease
    assert await written.extend(lease, 5)


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


async def test_issuer_waits_no_longer_when_the_engine_goes_away(
    engine: Unreachable, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    await engine.acquire("b", SECONDS)
    leased = issuer(engine, clock)
    async with running(leased):
        assert leased.is_taken
        engine.is_up = False
        clock.advance(SECONDS - 10)
        await run_tasks_until(lambda: len(clock.slept) > 3)
        assert leased.is_taken
        clock.advance(SECONDS)
        await asyncio.wait_for(leased.until_free(), 30)
    assert "the engine does not answer: this issuer works with its relay" in caplog.text


async def test_defect_does_not_keep_those_waiting_who_ask_for_the_lease(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(issuer(Defective(clock), clock)) as leased:
        await asyncio.wait_for(leased.until_free(), 30)
    assert "the lease of the engine cannot be kept" in caplog.text


async def test_worker_that_took_the_lease_from_the_next_one_of_its_process_leaves_it_at_the_end(
    engine: Unreachable, clock: FakeClock
) -> None:
    async with running(issuer(engine, clock)) as former:
        assert await engine.acquire("a", SECONDS)  # as the next one does
        with pytest.raises(LeaseLostError):
            await former.put(KEY, MESSAGE)
        await until_written(former)
    assert await engine.acquire("b", SECONDS) is None


async def test_lease_that_a_failover_lost_and_that_was_kept_since_is_given_back_at_the_end(
    engine: Unreachable, clock: FakeClock
) -> None:
    async with running(issuer(engine, clock)) as former:
        engine.restart()
        with pytest.raises(LeaseLostError):
            await former.put(KEY, MESSAGE)
        await until_written(former)
        count = len(clock.slept)
        await run_tasks_until(lambda: len(clock.slept) > count + 1)
    assert await engine.acquire("b", SECONDS)


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
