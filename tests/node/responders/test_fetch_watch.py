"""Watches for the fetches of one token."""

import asyncio

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
