"""Shared reloads: waiting, time limits and cancellation."""

import asyncio
import math
from itertools import pairwise

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import FakeCa as DeliverCa
from tests.fakes_deliver import dns
from tests.fakes_nginx import FakeNginx
from tests.fakes_obtain import FakeProgress
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.outside.state.deliveries import SqliteDeliveries
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.ports.state import DeliveryRecords
from wellkeeper_node import model
from wellkeeper_node.deliver.batch import Deliveries, Pace
from wellkeeper_node.errors import ReloadError
from wellkeeper_node.model import Flip

NAMES = ("a", "b", "c")


class Deliverer:
    """Deliveries with a fake clock, and installed certificates that wait for a reload."""

    def __init__(self, delivery_records: DeliveryRecords, clock: FakeClock) -> None:
        self.certificates, self.progress, self.clock = FakeCertificates(), FakeProgress(), clock
        self.nginx = FakeNginx(self.certificates, clock)
        self.deliveries = Deliveries(self.nginx, self.certificates, delivery_records, clock, self.progress)
        self._ca = DeliverCa(clock.now())

    def pace(self, **pace: float) -> None:
        self.deliveries.pace = Pace(**{"debounce_seconds": math.inf, **pace})  # type: ignore[arg-type]

    async def install(self, name: str) -> Flip:
        version = await self.certificates.write(name, self._ca.pair(dns(f"{name}.example")))
        before = await self.certificates.switch(name, version)
        return Flip(name, before, version)

    def deliver(self, flip: Flip) -> asyncio.Task[float]:
        return asyncio.create_task(self.deliveries.deliver(flip))


@pytest.fixture
def deliverer(state: State, clock: FakeClock) -> Deliverer:
    return Deliverer(state.deliveries, clock)


async def test_reload_waits_for_expected_deliveries(deliverer: Deliverer) -> None:
    with deliverer.deliveries.expecting():
        first = deliverer.deliver(await deliverer.install("a"))
        await asyncio.sleep(0.01)
        assert deliverer.nginx.reloads == []
        second = deliverer.deliver(await deliverer.install("b"))
    await asyncio.gather(first, second)
    assert [set(reload) for reload in deliverer.nginx.reloads] == [{"a", "b"}]


async def test_reload_waits_no_longer_than_the_debounce(deliverer: Deliverer) -> None:
    deliverer.pace(debounce_seconds=2.0)
    with deliverer.deliveries.expecting():
        await deliverer.deliver(await deliverer.install("a"))
    assert len(deliverer.nginx.reloads) == 1
    assert 2.0 in deliverer.clock.slept


async def test_steady_stream_of_deliveries_is_reloaded_eventually(deliverer: Deliverer) -> None:
    deliverer.pace(debounce_seconds=2.0)
    flip = await deliverer.install("a")
    with deliverer.deliveries.expecting():
        delivering = deliverer.deliver(flip)
        while not delivering.done():
            with deliverer.deliveries.expecting():
                deliverer.clock.advance(0.5)
            await asyncio.sleep(0)
    assert len(deliverer.nginx.reloads) == 1


async def test_reloads_keep_their_interval(deliverer: Deliverer) -> None:
    deliverer.pace(interval_seconds=10.0)
    await deliverer.deliver(await deliverer.install("a"))
    began = deliverer.clock.monotonic()
    await deliverer.deliver(await deliverer.install("b"))
    assert deliverer.clock.monotonic() - began >= 10.0
    assert len(deliverer.nginx.reloads) == 2


async def test_too_many_old_workers_delay_a_reload_by_ten_minutes_at_most(deliverer: Deliverer) -> None:
    deliverer.pace(finishing_workers=3)
    deliverer.nginx.finishing_count = 4
    began = deliverer.clock.monotonic()
    await deliverer.deliver(await deliverer.install("a"))
    assert 600.0 <= deliverer.clock.monotonic() - began < 620.0
    deliverer.nginx.finishing_count = 3
    began = deliverer.clock.monotonic()
    await deliverer.deliver(await deliverer.install("b"))
    assert deliverer.clock.monotonic() - began < 1.0


async def test_rejected_version_does_not_fail_the_others(deliverer: Deliverer) -> None:
    flips = [await deliverer.install(name) for name in NAMES]
    deliverer.nginx.needed = set(NAMES)
    deliverer.nginx.bad_versions = {flips[1].after}
    await deliverer.certificates.switch("b", flips[1].after)
    older = await deliverer.certificates.write("b", DeliverCa(deliverer.clock.now()).pair(dns("b.example")))
    flips[1] = Flip("b", older, flips[1].after)
    results = await asyncio.gather(*map(deliverer.deliver, flips), return_exceptions=True)
    assert [type(one) for one in results] == [float, ReloadError, float]
    assert "nginx rejects version" in str(results[1])
    assert len(deliverer.nginx.reloads) == 1


async def test_failed_reload_fails_its_whole_batch_and_no_later_one(deliverer: Deliverer) -> None:
    deliverer.nginx.refusal = "no new workers"
    flips = [await deliverer.install(name) for name in NAMES]
    results = await asyncio.gather(*map(deliverer.deliver, flips), return_exceptions=True)
    assert [str(one) for one in results] == ["no new workers"] * 3
    deliverer.nginx.refusal = None
    assert await deliverer.deliver(flips[0]) > 0


async def test_defect_before_the_reload_fails_all_waiting_deliveries(deliverer: Deliverer) -> None:
    class Broken(FakeNginx):
        async def finishing(self) -> int:
            raise RuntimeError("a defect")

    deliverer.deliveries.nginx = Broken(deliverer.certificates, deliverer.clock)
    flips = [await deliverer.install(name) for name in NAMES]
    results = await asyncio.gather(*map(deliverer.deliver, flips), return_exceptions=True)
    assert [str(one) for one in results] == ["a defect"] * 3
    deliverer.deliveries.nginx = deliverer.nginx
    assert await deliverer.deliver(flips[0]) > 0


async def test_cancelled_delivery_does_not_affect_the_others(deliverer: Deliverer) -> None:
    with deliverer.deliveries.expecting():
        first, second = [deliverer.deliver(await deliverer.install(name)) for name in ("a", "b")]
        await run_tasks_until(lambda: len(deliverer.deliveries._waiting) == 2)  # noqa: SLF001
        first.cancel()
        await asyncio.wait([first])
    assert await second > 0
    assert first.cancelled()


async def test_cancelling_one_delivery_during_the_reload_does_not_affect_the_others(deliverer: Deliverer) -> None:
    tasks: list[asyncio.Task[float]] = []

    class Interrupted(FakeNginx):
        async def reload(self, tested: model.Tested | None) -> int:
            tasks[0].cancel()
            await asyncio.wait([tasks[0]])
            return await super().reload(tested)

    deliverer.deliveries.nginx = Interrupted(deliverer.certificates, deliverer.clock)
    with deliverer.deliveries.expecting():
        tasks += [deliverer.deliver(await deliverer.install(name)) for name in ("a", "b")]
    assert await tasks[1] > 0
    assert tasks[0].cancelled()


async def test_cancelling_the_last_delivery_cancels_the_reload(deliverer: Deliverer) -> None:
    with deliverer.deliveries.expecting():
        only = deliverer.deliver(await deliverer.install("a"))
        await run_tasks_until(lambda: len(deliverer.deliveries._waiting) == 1)  # noqa: SLF001
        only.cancel()
        await asyncio.wait([only])
        assert [task for task in asyncio.all_tasks() if "_serve" in repr(task)] == []
    assert deliverer.nginx.reloads == []


async def test_journal_error_is_raised_to_the_delivery(deliverer: Deliverer) -> None:
    class Broken(SqliteDeliveries):
        async def record_reloaded(self, lineages: object) -> None:
            raise JournalError(f"disk full: {lineages}")

    deliverer.deliveries.delivery_records = Broken.__new__(Broken)
    with pytest.raises(JournalError, match="disk full"):
        await deliverer.deliver(await deliverer.install("a"))


async def test_reloads_that_are_tests_keep_their_interval(deliverer: Deliverer) -> None:
    deliverer.pace(interval_seconds=10.0)
    deliverer.nginx.is_tested_by_reload = True
    deliverer.nginx.needed = {"a", "b"}
    flips = [await deliverer.install(name) for name in ("a", "b")]
    older = await deliverer.certificates.write("b", DeliverCa(deliverer.clock.now()).pair(dns("b.example")))
    deliverer.nginx.bad_versions = {flips[1].after}
    flips[0] = Flip("a", older, flips[0].after)
    deliverer.certificates.without_pair |= {("a", older)}
    flips[1] = Flip("b", older, flips[1].after)
    results = await asyncio.gather(*map(deliverer.deliver, flips), return_exceptions=True)
    assert isinstance(results[1], ReloadError)
    times = list(deliverer.nginx.tested_at)
    assert len(times) >= 3
    assert all(after - before >= 10.0 for before, after in pairwise(times))
    assert await deliverer.deliver(await deliverer.install("c")) > 0
    assert deliverer.nginx.tested_at[-1] - times[-1] >= 10.0
