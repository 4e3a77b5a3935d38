"""The feed of fetches: numbered, bounded, with explicit gaps."""

import asyncio

import pytest

from tests.fakes import FakeClock
from tests.responder.messages import TOKEN
from wellkeeper_client.wire import WireError
from wellkeeper_responder.fetches import MAX_DELIVERED, MAX_HITS, MAX_MISSES, MAX_WAITING, Fetches


@pytest.fixture
def fetches() -> Fetches:
    return Fetches(FakeClock())


def _record(fetches: Fetches, *statuses: int, is_read_back: bool = False) -> None:
    for status in statuses:
        fetches.record(
            TOKEN, status, client_address="192.0.2.1", user_agent="CA/1", host="example.com", is_read_back=is_read_back
        )


async def _all_polls_wait() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_hits_and_misses_are_delivered_in_order(fetches: Fetches) -> None:
    _record(fetches, 200, 404, 200, 404)
    delivery = fetches.read(after=0)
    assert [(fetch.sequence, fetch.status) for fetch in delivery.fetches] == [(1, 200), (2, 404), (3, 200), (4, 404)]
    assert (delivery.next, delivery.lost) == (4, 0)


def test_only_later_fetches_are_delivered(fetches: Fetches) -> None:
    _record(fetches, 200, 404, 200)
    assert [fetch.sequence for fetch in fetches.read(after=2).fetches] == [3]
    assert fetches.read(after=3).fetches == ()
    assert fetches.read(after=3).next == 3


def test_number_from_another_process_counts_as_the_start(fetches: Fetches) -> None:
    _record(fetches, 200)
    delivery = fetches.read(after=77)
    assert [fetch.sequence for fetch in delivery.fetches] == [1]
    assert (delivery.next, delivery.lost) == (1, 0)


def test_flood_of_misses_does_not_evict_hits(fetches: Fetches) -> None:
    _record(fetches, 200, *[404] * (MAX_MISSES + 10))
    delivery = fetches.read(after=0)
    assert delivery.fetches[0].status == 200
    assert (delivery.lost, delivery.lost_hits) == (10, False)


def test_lost_hits_are_reported_as_a_gap(fetches: Fetches) -> None:
    _record(fetches, *[200] * (MAX_HITS + 3))
    first = fetches.read(after=0)
    assert (first.lost, first.lost_hits, len(first.fetches)) == (3, True, MAX_DELIVERED)
    assert first.fetches[0].sequence == 4
    second = fetches.read(after=first.next)
    assert (second.lost, second.lost_hits) == (0, False)
    assert second.fetches[0].sequence == first.next + 1


def test_whole_feed_can_be_read_in_pieces_without_loss(fetches: Fetches) -> None:
    _record(fetches, *[200, 404] * 900)
    first = fetches.read(after=0)
    second = fetches.read(after=first.next)
    assert (len(first.fetches), first.lost, second.lost) == (MAX_DELIVERED, 0, 0)
    numbers = [fetch.sequence for fetch in (*first.fetches, *second.fetches)]
    assert numbers == list(range(1, 1801))


async def test_read_back_does_not_end_a_poll_but_is_delivered(fetches: Fetches) -> None:
    """Polls are for the CA's fetches, and each reply costs a node two requests."""
    poll = asyncio.create_task(fetches.wait(after=0, seconds=60))
    await _all_polls_wait()
    _record(fetches, 200, is_read_back=True)
    await _all_polls_wait()
    assert not poll.done()
    _record(fetches, 200)
    await poll
    assert [fetch.is_read_back for fetch in fetches.read(after=0).fetches] == [True, False]


async def test_poll_waits_for_the_next_hit(fetches: Fetches) -> None:
    poll = asyncio.create_task(fetches.wait(after=0, seconds=60))
    await _all_polls_wait()
    assert not poll.done()
    _record(fetches, 200)
    await poll


async def test_miss_does_not_wake_a_poll(fetches: Fetches) -> None:
    poll = asyncio.create_task(fetches.wait(after=0, seconds=60))
    await _all_polls_wait()
    _record(fetches, 404)
    await _all_polls_wait()
    assert not poll.done()
    poll.cancel()


async def test_poll_returns_at_once_when_a_hit_is_there(fetches: Fetches) -> None:
    _record(fetches, 200)
    async with asyncio.timeout(50):
        await fetches.wait(after=0, seconds=60)
    assert fetches.waiting_count == 0


async def test_poll_without_a_wait_returns_at_once(fetches: Fetches) -> None:
    async with asyncio.timeout(50):
        await fetches.wait(after=0, seconds=0)
    assert fetches.waiting_count == 0


async def test_poll_over_the_limit_is_refused_until_a_slot_is_free(fetches: Fetches) -> None:
    polls = [asyncio.create_task(fetches.wait(0, 60)) for _ in range(MAX_WAITING)]
    await _all_polls_wait()
    with pytest.raises(WireError) as caught:
        await fetches.wait(0, 60)
    assert (caught.value.status, caught.value.name) == (429, "too-many-polls")
    polls[0].cancel()
    await _all_polls_wait()
    assert fetches.waiting_count == MAX_WAITING - 1
    _record(fetches, 200)
    await asyncio.gather(*polls, return_exceptions=True)
    assert fetches.waiting_count == 0


async def test_closing_answers_waiting_and_new_polls(fetches: Fetches) -> None:
    poll = asyncio.create_task(fetches.wait(after=0, seconds=60))
    await _all_polls_wait()
    fetches.close()
    await poll
    await fetches.wait(after=0, seconds=60)
