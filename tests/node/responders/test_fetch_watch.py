"""Watches for the fetches of one token."""

import asyncio

from wellkeeper_node.model import ExpectedFetches
from wellkeeper_node.responders.fetch_watch import Watches

NEVER = 10.0


async def test_one_fetch_followed_by_quiet_settles() -> None:
    watches = Watches()
    with watches.open("t") as watch:
        watches.notify("t")
        assert await watch.settle(0, NEVER)


async def test_without_a_fetch_the_call_times_out() -> None:
    with Watches().open("t") as watch:
        assert not await watch.settle(NEVER, 0)


async def test_fetches_of_another_token_do_not_count() -> None:
    watches = Watches()
    with watches.open("t") as watch:
        watches.notify("other")
        assert not await watch.settle(NEVER, 0)


async def test_fetch_before_entering_does_not_count() -> None:
    watches = Watches()
    watches.notify("t")
    with watches.open("t") as watch:
        assert not await watch.settle(NEVER, 0)


async def test_fetch_settles_only_one_call() -> None:
    watches = Watches()
    with watches.open("t") as watch:
        watches.notify("t")
        assert await watch.settle(0, NEVER)
        assert not await watch.settle(0, 0)


async def test_call_settles_only_after_the_last_fetch() -> None:
    watches = Watches()
    with watches.open("t") as watch:
        settling = asyncio.create_task(watch.settle(0.01, NEVER))
        for _ in range(20):
            watches.notify("t")
            await asyncio.sleep(0)
            assert not settling.done()
        assert await settling


async def test_endless_fetches_do_not_prolong_the_call() -> None:
    watches = Watches()
    with watches.open("t") as watch:
        settling = asyncio.create_task(watch.settle(NEVER, 0.01))
        while not settling.done():
            watches.notify("t")
            await asyncio.sleep(0)
        assert settling.result()


async def test_expected_number_of_fetches_needs_less_quiet() -> None:
    watches = Watches()
    with watches.open("t") as watch:
        for number in range(3):
            watches.notify("t", f"192.0.2.{number}")
        assert await watch.settle(NEVER, NEVER, ExpectedFetches(3, 0))
        assert watch.count == 3


async def test_fewer_fetches_than_expected_need_the_usual_quiet() -> None:
    watches = Watches()
    with watches.open("t") as watch:
        for _ in range(2):
            watches.notify("t", "192.0.2.1")
        settling = asyncio.create_task(watch.settle(0.01, NEVER, ExpectedFetches(3, NEVER)))
        assert await settling
        assert watch.count == 2


async def test_fetches_of_earlier_calls_count_towards_the_expected_number() -> None:
    watches = Watches()
    with watches.open("t") as watch:
        for number in range(3):
            watches.notify("t", f"192.0.2.{number}")
            assert await watch.settle(0 if number < 2 else NEVER, NEVER, ExpectedFetches(3, 0))


async def test_lost_fetches_are_not_counted() -> None:
    watches = Watches()
    with watches.open("t") as watch:
        watches.notify_all()
        assert watch.count == 0


async def test_lost_fetches_wake_all_watches() -> None:
    watches = Watches()
    with watches.open("t") as one, watches.open("u") as other:
        watches.notify_all()
        assert await one.settle(0, NEVER)
        assert await other.settle(0, NEVER)


async def test_both_watches_of_a_token_see_its_fetch() -> None:
    watches = Watches()
    with watches.open("t") as one, watches.open("t") as other:
        watches.notify("t")
        assert await one.settle(0, NEVER)
        assert await other.settle(0, NEVER)
    watches.notify("t")


async def test_clients_are_those_that_fetched_the_token_each_once_and_the_first_few() -> None:
    watches = Watches()
    with watches.open("t") as watch:
        for address in ("192.0.2.7", "192.0.2.7", "::1"):
            watches.notify("t", address)
        watches.notify("other", "192.0.2.9")
        watches.notify_all()
        assert watch.clients == ("192.0.2.7", "::1")
        for number in range(100):
            watches.notify("t", str(number))
        assert len(watch.clients) == 8
