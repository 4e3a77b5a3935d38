"""Tokens that a process left at the responders because it was killed: the next one withdraws them."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.fakes_state import FakeAttempts, FakePublications, FakeState
from tests.issuer.outside.states import ATTEMPT, ORDER
from tests.node.nodes import Nodes
from tests.responder.messages import KEY, OTHER_TOKEN, THUMBPRINT, TOKEN
from wellkeeper_issuer.errors import ChallengeError, JournalError
from wellkeeper_node.model import Answer, Published
from wellkeeper_node.responders.client import ResponderClient
from wellkeeper_node.responders.publications import AllResponders

ANSWER = Answer(TOKEN, THUMBPRINT, dns("a.example"))
OTHER_ANSWER = Answer(OTHER_TOKEN, THUMBPRINT, dns("b.example"))
BOTH = ["n1", "n2"]


def process(nodes: Nodes, clock: FakeClock, state: FakeState) -> AllResponders:
    """Return the connections of one process of the issuer."""
    clients = [ResponderClient(one.name, str(one.control), KEY, clock) for one in nodes.all]
    return AllResponders(clients, KEY, clock, state.publications)


@pytest.fixture
def state() -> FakeState:
    return FakeState()


@pytest.fixture
async def successor(nodes: Nodes, clock: FakeClock, state: FakeState) -> AsyncIterator[AllResponders]:
    """Return the next process; the one before publishes ANSWER for `web`, and ends without withdrawing it."""
    async with AsyncExitStack() as stack:
        killed = await stack.enter_async_context(process(nodes, clock, state))
        await stack.enter_async_context(killed.publish([ANSWER], "web"))
        yield await stack.enter_async_context(process(nodes, clock, state))


async def test_tokens_that_no_order_needs_are_withdrawn(
    successor: AllResponders, nodes: Nodes, state: FakeState
) -> None:
    assert await nodes.holding(TOKEN) == BOTH
    await successor.withdraw_left()
    assert await nodes.holding(TOKEN) == []
    assert await state.publications.read_unneeded() == []


async def test_tokens_of_an_order_stay_until_it_was_continued(
    successor: AllResponders, nodes: Nodes, state: FakeState
) -> None:
    await state.attempts.record_attempt(ATTEMPT.with_order(ORDER))
    await successor.withdraw_left()
    await successor.withdraw_left("mail")
    assert await nodes.holding(TOKEN) == BOTH
    await successor.withdraw_left("web")
    assert await nodes.holding(TOKEN) == []


async def test_own_tokens_are_not_withdrawn(successor: AllResponders, nodes: Nodes, state: FakeState) -> None:
    async with successor.publish([OTHER_ANSWER], "web"):
        await successor.withdraw_left("web")
        await successor.withdraw_left()
        assert await nodes.holding(OTHER_TOKEN) == BOTH
        assert await nodes.holding(TOKEN) == []
    assert await nodes.holding(OTHER_TOKEN) == []
    assert await state.publications.read_publications("web") == []


async def test_token_at_a_responder_that_is_away_stays_recorded(
    successor: AllResponders, nodes: Nodes, state: FakeState, caplog: pytest.LogCaptureFixture
) -> None:
    await nodes["n2"].stop()
    with caplog.at_level(logging.WARNING):
        await successor.withdraw_left()
    assert not await nodes["n1"].holds(TOKEN)
    assert [one.token for one in await state.publications.read_unneeded()] == [TOKEN]
    assert "cannot withdraw" not in caplog.text


async def test_state_that_cannot_be_written_hides_no_other_error(
    nodes: Nodes, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(FakePublications):
        async def forget_publications(self, published: Sequence[Published]) -> None:
            raise JournalError(f"cannot forget {len(published)} of them", "the disk is full")

    clients = [ResponderClient(one.name, str(one.control), KEY, clock) for one in nodes.all]
    async with AllResponders(clients, KEY, clock, Failing(FakeAttempts())) as responders:
        with pytest.raises(ChallengeError, match="the CA refused it"):
            async with responders.publish([ANSWER], "web"):
                raise ChallengeError("the CA refused it")
    assert await nodes.holding(TOKEN) == []
    assert "the disk is full" in caplog.text


async def test_expired_tokens_are_left_alone(
    successor: AllResponders, clock: FakeClock, state: FakeState, caplog: pytest.LogCaptureFixture
) -> None:
    clock.advance(1800)
    with caplog.at_level(logging.INFO):
        await successor.withdraw_left()
    assert "withdrawing" not in caplog.text
    assert len(await state.publications.read_unneeded()) == 1


async def test_tokens_for_no_certificate_are_not_recorded(nodes: Nodes, clock: FakeClock, state: FakeState) -> None:
    async with process(nodes, clock, state) as rehearsing, rehearsing.publish([ANSWER]):
        assert await state.publications.read_unneeded() == []
    async with nodes.responders.publish([ANSWER], "web"):
        await nodes.responders.withdraw_left()
        assert await nodes.holding(TOKEN) == BOTH
