"""Requests to join through `records.relay.RelayRecords`: an answer, none yet, or a refusal."""

import pytest

from tests.joins import INVITE, OTHER, answer, record_of, request
from tests.node.records.test_relay import client, hostile, stored
from tests.relay.conftest import RunningRelay, running
from tests.relay.messages import signed
from wellkeeper_client import joining
from wellkeeper_node.errors import JoinRefusedError, UnavailableError
from wellkeeper_relay.keys import CHECKS_PER_PEER

__all__ = ["running"]


async def test_request_to_join_gets_the_answer_or_none(running: RunningRelay) -> None:
    await running.feed(f"invite/{INVITE.id}", signed(f"invite/{INVITE.id}", seconds=3600))
    await running.feed(f"answer/{INVITE.id}", record_of(answer()))
    async with client(running.relay.node_addresses[0]) as records:
        found = await records.join(INVITE.id, request().to_bytes())
        assert found is not None
        assert (found.key, found.value) == (f"answer/{INVITE.id}", record_of(answer()))
        with pytest.raises(JoinRefusedError, match="another node uses this invite"):
            await records.join(INVITE.id, request(signing_key=OTHER).to_bytes())
        with pytest.raises(JoinRefusedError, match="the invite is unknown here"):
            await records.join("x" * 22, request().to_bytes())
    async with hostile(lambda _: {"record": None}) as address, client(address) as records:
        assert await records.join(INVITE.id, request().to_bytes()) is None
    async with hostile(lambda _: {"record": stored()}) as address, client(address) as records:
        with pytest.raises(UnavailableError, match="cannot use the reply"):
            await records.join(INVITE.id, request().to_bytes())


async def test_each_key_has_its_own_answer_with_a_reusable_invite(running: RunningRelay) -> None:
    exchange = joining.exchange_of(INVITE.id, request().signing_key)
    await running.feed(f"invite/{INVITE.id}", signed(f"invite/{INVITE.id}", seconds=3600, is_reusable=True))
    await running.feed(f"answer/{exchange}", record_of(answer(), key=f"answer/{exchange}"))
    async with client(running.relay.node_addresses[0]) as records:
        found = await records.join(exchange, request().to_bytes())
        assert found is not None
        assert found.key == f"answer/{exchange}"


async def test_relay_that_is_busy_has_no_answer_yet(running: RunningRelay) -> None:
    await running.feed(f"invite/{INVITE.id}", signed(f"invite/{INVITE.id}", seconds=3600))
    await running.feed(f"answer/{INVITE.id}", record_of(answer()))
    async with client(running.relay.node_addresses[0]) as records:
        found = [await records.join(INVITE.id, request().to_bytes()) for _ in range(2 * CHECKS_PER_PEER + 1)]
    assert [one is None for one in found] == [False] * 2 * CHECKS_PER_PEER + [True]
