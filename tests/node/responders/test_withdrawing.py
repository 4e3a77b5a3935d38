"""Tokens that are withdrawn from responders that hang, and tokens that certificates share."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.fakes_state import FakeState
from tests.issuer.outside.states import ATTEMPT, ORDER
from tests.node.nodes import Nodes
from tests.responder.messages import KEY, THUMBPRINT, TOKEN
from wellkeeper_node.model import Answer
from wellkeeper_node.responders.client import Fetches, ResponderClient
from wellkeeper_node.responders.publications import AllResponders

ANSWER = Answer(TOKEN, THUMBPRINT, dns("a.example"))
MANY = [Answer(f"{TOKEN}{number}", THUMBPRINT, dns("a.example")) for number in range(20)]


class Hanging:
    """`responders.connection.Connection` whose withdrawals never end; the `first` ones do."""

    def __init__(self, first: int = 0) -> None:
        self.node = "n1"
        self.first = first
        self.asked = self.most = self._now = 0

    async def close(self) -> None: ...

    async def put(self, token: str, message: str) -> str:
        del token, message
        return "instance"

    async def delete(self, token: str, message: str) -> bool:
        del token, message
        self.asked += 1
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await asyncio.sleep(0)
            if self.asked > self.first:
                await asyncio.Event().wait()
            return True
        finally:
            self._now -= 1

    async def fetches(self, after: int, *, wait_seconds: int) -> Fetches:
        await asyncio.Event().wait()
        raise AssertionError(after, wait_seconds)


async def left_at(responder: Hanging, clock: FakeClock, state: FakeState) -> None:
    """Leave many tokens, as a process that was killed."""
    killed = AllResponders([responder], KEY, clock, state.publications, withdraw_seconds=0.01)
    async with killed, killed.publish(MANY, "web"):
        pass


async def test_responder_that_hangs_delays_withdrawals_of_any_number_once(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    hanging, state = Hanging(), FakeState()
    with caplog.at_level(logging.WARNING):
        await left_at(hanging, clock, state)
    assert caplog.messages == ["cannot withdraw 20 tokens, valid for up to 1800 s: node 'n1' is too slow"]
    assert 1 < hanging.asked < len(MANY)
    assert hanging.most == hanging.asked
    assert len(await state.publications.read_unneeded()) == len(MANY)


async def test_next_process_neither_starts_nor_ends_late_because_of_a_responder_that_hangs(clock: FakeClock) -> None:
    hanging, state = Hanging(), FakeState()
    await left_at(hanging, clock, state)
    before = hanging.asked
    async with AllResponders([hanging], KEY, clock, state.publications, withdraw_seconds=3600) as responders:
        async with responders.withdrawing_left():
            assert hanging.asked == before
        assert hanging.asked > before
    assert len(await state.publications.read_unneeded()) == len(MANY)


async def test_next_process_withdraws_meanwhile_what_was_left(clock: FakeClock) -> None:
    responder, state = Hanging(), FakeState()
    await left_at(responder, clock, state)
    responder.first = 1000
    async with AllResponders([responder], KEY, clock, state.publications) as responders, responders.withdrawing_left():
        pass
    assert await state.publications.read_unneeded() == []


@pytest.fixture
async def state_of_shared(nodes: Nodes, clock: FakeClock) -> AsyncIterator[FakeState]:
    """Return the state after a process was killed that published one token for two certificates with orders."""
    state = FakeState()
    for name in ("web", "mail"):
        await state.attempts.record_attempt(replace(ATTEMPT, lineage=name).with_order(ORDER))
    async with AsyncExitStack() as stack:
        killed = await stack.enter_async_context(process(nodes, clock, state))
        for name in ("web", "mail"):
            await stack.enter_async_context(killed.publish([ANSWER], name))
        yield state


def process(nodes: Nodes, clock: FakeClock, state: FakeState) -> AllResponders:
    clients = [ResponderClient(one.name, str(one.control), KEY, clock) for one in nodes.all]
    return AllResponders(clients, KEY, clock, state.publications)


@pytest.mark.parametrize(("done", "other"), [("web", "mail"), ("mail", "web")])
async def test_token_that_certificates_share_stays_until_no_order_needs_it(
    nodes: Nodes, clock: FakeClock, state_of_shared: FakeState, done: str, other: str
) -> None:
    async with process(nodes, clock, state_of_shared) as successor:
        await state_of_shared.attempts.record_chain(done, b"chain")
        await successor.withdraw_left()
        await successor.withdraw_left(done)
        assert await nodes["n1"].holds(TOKEN)
        await successor.withdraw_left(other)
        assert not await nodes["n1"].holds(TOKEN)
        assert await state_of_shared.publications.read_unneeded() == []


async def test_token_of_a_rehearsal_that_a_certificate_shares_is_recorded(nodes: Nodes, clock: FakeClock) -> None:
    state = FakeState()
    async with process(nodes, clock, state) as one, one.publish([ANSWER]), one.publish([ANSWER], "web"):
        assert [found.token for found in await state.publications.read_publications("web")] == [TOKEN]
