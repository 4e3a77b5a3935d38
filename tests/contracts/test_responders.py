"""Contract of `ports.Responders` and `ports.Watch`, for real connections and the quick ones of unit tests.

Both publish to real responders; the watches of the quick ones are fakes that report fetches by themselves.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import Final

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.fakes_obtain import QuickResponders
from tests.fakes_watch import FakeWatches
from tests.node.nodes import Nodes
from tests.responder.messages import OTHER_THUMBPRINT, OTHER_TOKEN, THUMBPRINT, TOKEN
from wellkeeper_node.errors import PublishError
from wellkeeper_node.model import Answer, ExpectedFetches
from wellkeeper_node.ports import Responders

ANSWER: Final = Answer(TOKEN, THUMBPRINT, dns("a.example"))
OTHER_ANSWER: Final = Answer(OTHER_TOKEN, THUMBPRINT, dns("b.example"))
REFUSED_ANSWER: Final = Answer(OTHER_TOKEN, OTHER_THUMBPRINT, dns("b.example"))
BOTH: Final = ["n1", "n2"]
# Shorter than the time-out of a test.
NEVER: Final = 250.0


@pytest.fixture(params=["quick", "connections"])
def responders(request: pytest.FixtureRequest, nodes: Nodes, clock: FakeClock) -> Responders:
    return QuickResponders(nodes.responders, clock) if request.param == "quick" else nodes.responders


async def test_responders_hold_the_answers_only_inside_the_context(responders: Responders, nodes: Nodes) -> None:
    async with responders.publish([ANSWER, OTHER_ANSWER]):
        assert [await nodes.holding(token) for token in (TOKEN, OTHER_TOKEN)] == [BOTH, BOTH]
        assert (await nodes["n2"].get(TOKEN)).body.decode() == ANSWER.key_authorization
    assert [await nodes.holding(token) for token in (TOKEN, OTHER_TOKEN)] == [[], []]


async def test_exception_inside_propagates_after_withdrawing(responders: Responders, nodes: Nodes) -> None:
    with pytest.raises(ZeroDivisionError):
        async with responders.publish([ANSWER]):
            raise ZeroDivisionError
    assert await nodes.holding(TOKEN) == []


async def test_cancellation_inside_withdraws(responders: Responders, nodes: Nodes) -> None:
    async def stay() -> None:
        async with responders.publish([ANSWER]):
            inside.set()
            await asyncio.Event().wait()

    inside = asyncio.Event()
    task = asyncio.create_task(stay())
    await inside.wait()
    assert await nodes.holding(TOKEN) == BOTH
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await nodes.holding(TOKEN) == []


@pytest.mark.parametrize("steps", range(0, 12, 2))
async def test_cancellation_while_publishing_withdraws(responders: Responders, nodes: Nodes, steps: int) -> None:
    async def stay() -> None:
        async with responders.publish([ANSWER]):
            await asyncio.Event().wait()

    task = asyncio.create_task(stay())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await nodes.holding(TOKEN) == []


@pytest.mark.parametrize("away", [["n1"], ["n2"], BOTH], ids=["first", "second", "both"])
async def test_error_names_every_node_that_refused_the_answers(
    responders: Responders, nodes: Nodes, away: list[str]
) -> None:
    for name in away:
        await nodes[name].stop()
    with pytest.raises(PublishError) as caught:
        await responders.publish([ANSWER]).__aenter__()
    assert [name for name in BOTH if f"'{name}'" in str(caught.value)] == away
    for name in set(BOTH) - set(away):
        assert not await nodes[name].holds(TOKEN)


async def test_refused_answer_withdraws_the_others(responders: Responders, nodes: Nodes) -> None:
    with pytest.raises(PublishError, match=r"'n1'.*'n2'"):
        await responders.publish([ANSWER, REFUSED_ANSWER]).__aenter__()
    assert await nodes.holding(TOKEN) == []


async def test_publishing_again_after_a_failure_works(responders: Responders, nodes: Nodes) -> None:
    await nodes["n2"].stop()
    with pytest.raises(PublishError):
        await responders.publish([ANSWER]).__aenter__()
    await nodes["n2"].start()
    for _ in range(2):
        async with responders.publish([ANSWER]):
            assert await nodes.holding(TOKEN) == BOTH
    assert await nodes.holding(TOKEN) == []


async def test_nothing_to_publish_needs_no_responder(responders: Responders, nodes: Nodes) -> None:
    for one in nodes.all:
        await one.stop()
    inside = []
    async with responders.publish([]):
        inside.append(True)
    assert inside == [True]


async def test_answer_published_twice_is_held_until_both_contexts_end(responders: Responders, nodes: Nodes) -> None:
    async with responders.publish([ANSWER]):
        async with responders.publish([ANSWER, OTHER_ANSWER, ANSWER]):
            assert await nodes.holding(OTHER_TOKEN) == BOTH
        assert [await nodes.holding(token) for token in (TOKEN, OTHER_TOKEN)] == [BOTH, []]
    assert await nodes.holding(TOKEN) == []


async def test_restarted_responder_receives_the_answers_again(responders: Responders, nodes: Nodes) -> None:
    async with responders.publish([ANSWER, OTHER_ANSWER]):
        await nodes["n1"].stop()
        await nodes["n1"].start()
        for token in (TOKEN, OTHER_TOKEN):
            await nodes["n1"].held(token)
    assert [await nodes.holding(token) for token in (TOKEN, OTHER_TOKEN)] == [[], []]


async def test_publishing_again_finds_out_which_responder_restarted(responders: Responders, nodes: Nodes) -> None:
    async with responders.publish([ANSWER, OTHER_ANSWER]):
        assert not await responders.publish_again([ANSWER, OTHER_ANSWER])
        await nodes["n2"].stop()
        await nodes["n2"].start()
        assert await responders.publish_again([ANSWER, OTHER_ANSWER])
        assert [await nodes.holding(token) for token in (TOKEN, OTHER_TOKEN)] == [BOTH, BOTH]
    assert [await nodes.holding(token) for token in (TOKEN, OTHER_TOKEN)] == [[], []]


async def test_publishing_again_names_the_responder_that_is_gone(responders: Responders, nodes: Nodes) -> None:
    async with responders.publish([ANSWER]):
        await nodes["n2"].stop()
        with pytest.raises(PublishError, match="'n2'"):
            await responders.publish_again([ANSWER])


async def test_leaving_succeeds_when_a_responder_is_gone(responders: Responders, nodes: Nodes) -> None:
    async with responders.publish([ANSWER]):
        await nodes["n2"].stop()
    assert not await nodes["n1"].holds(TOKEN)


async def test_fetch_settles_only_one_call(responders: Responders, nodes: Nodes) -> None:
    async with responders.publish([ANSWER]), responders.watch(TOKEN) as watch:
        assert not await watch.settle(0, 0)
        await nodes["n1"].get(TOKEN)
        assert await watch.settle(0, NEVER)
        assert not await watch.settle(0, 0)


async def test_expected_number_of_fetches_needs_less_quiet(responders: Responders, nodes: Nodes) -> None:
    async with responders.publish([ANSWER]), responders.watch(TOKEN) as watch:
        await nodes["n1"].get(TOKEN)
        assert await watch.settle(NEVER, NEVER, ExpectedFetches(1, 0))
        assert watch.count == 1


async def test_fetch_after_a_time_out_settles_the_next_call(
    responders: Responders, nodes: Nodes, clock: FakeClock
) -> None:
    if isinstance(responders, QuickResponders):
        responders.watches = FakeWatches(clock, fetches=(NEVER + 0.005,))
    async with responders.publish([ANSWER]), responders.watch(TOKEN) as watch:
        assert not await watch.settle(0, 0.01)
        await nodes["n2"].get(TOKEN)
        assert await watch.settle(0, NEVER)


async def test_fetch_wakes_all_watches_of_its_token(responders: Responders, nodes: Nodes) -> None:
    async with responders.publish([ANSWER]), AsyncExitStack() as stack:
        watches = [await stack.enter_async_context(responders.watch(TOKEN)) for _ in range(2)]
        await nodes["n1"].get(TOKEN)
        for watch in watches:
            assert await watch.settle(0, NEVER)
            assert not await watch.settle(0, 0)


async def test_fetches_before_entering_do_not_count(responders: Responders, nodes: Nodes) -> None:
    async with responders.publish([ANSWER]), responders.watch(TOKEN) as earlier:
        await nodes["n1"].get(TOKEN)
        assert await earlier.settle(0, NEVER)
        async with responders.watch(TOKEN) as watch:
            assert not await watch.settle(0, 0)


async def test_read_backs_and_fetches_of_other_tokens_do_not_count(responders: Responders, nodes: Nodes) -> None:
    if isinstance(responders, QuickResponders):
        responders.watches.ignored = {TOKEN}
    async with responders.publish([ANSWER, OTHER_ANSWER]), AsyncExitStack() as stack:
        watch, other = [await stack.enter_async_context(responders.watch(token)) for token in (TOKEN, OTHER_TOKEN)]
        assert await nodes["n1"].holds(TOKEN)
        await nodes["n1"].get(OTHER_TOKEN)
        assert await other.settle(0, NEVER)
        assert not await watch.settle(0, 0.01)


async def test_waiting_for_a_fetch_can_be_cancelled(responders: Responders) -> None:
    async with responders.publish([ANSWER]), responders.watch(TOKEN) as watch:
        waiting = asyncio.create_task(watch.settle(0, NEVER))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_watch_propagates_exceptions(responders: Responders) -> None:
    with pytest.raises(ZeroDivisionError):
        async with responders.watch(TOKEN):
            raise ZeroDivisionError
