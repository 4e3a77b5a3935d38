"""Publications for other ACME clients at real responders: they outlast the process that made them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.node.nodes import Nodes
from tests.node.responders.test_withdrawing import Hanging
from tests.responder.messages import KEY, OTHER_THUMBPRINT, THUMBPRINT, TOKEN
from wellkeeper_node.errors import PublishError
from wellkeeper_node.model import Answer
from wellkeeper_node.responders.client import ResponderClient
from wellkeeper_node.responders.lasting import LastingPublications

ANSWER = Answer(TOKEN, THUMBPRINT, dns("a.example"))


@pytest.fixture
async def nodes(folder: Path, clock: FakeClock) -> AsyncIterator[Nodes]:
    async with Nodes(folder, clock, ("n1", "n2")) as running:
        yield running


async def publications(stack: AsyncExitStack, nodes: Nodes, clock: FakeClock) -> LastingPublications:
    clients = [ResponderClient(one.name, str(one.control), KEY, clock) for one in nodes.all]
    for client in clients:
        stack.push_async_callback(client.close)
    return LastingPublications(clients, KEY, clock)


async def test_publication_lasts_until_another_process_withdraws_it(nodes: Nodes, clock: FakeClock) -> None:
    async with AsyncExitStack() as stack:
        first = await publications(stack, nodes, clock)
        publication = first.prepare(ANSWER)
        await first.publish(publication)
    assert [await one.holds(TOKEN) for one in nodes.all] == [True, True]
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await (await publications(stack, nodes, clock)).withdraw(TOKEN, publication.jti)
    assert [await one.holds(TOKEN) for one in nodes.all] == [False, False]


async def test_account_that_is_not_pinned_is_refused(nodes: Nodes, clock: FakeClock) -> None:
    async with AsyncExitStack() as stack:
        lasting = await publications(stack, nodes, clock)
        with pytest.raises(PublishError, match=OTHER_THUMBPRINT):
            await lasting.publish(lasting.prepare(Answer(TOKEN, OTHER_THUMBPRINT, dns("a.example"))))


async def test_failure_at_one_responder_is_raised_after_all_were_asked(nodes: Nodes, clock: FakeClock) -> None:
    async with AsyncExitStack() as stack:
        lasting = await publications(stack, nodes, clock)
        publication = lasting.prepare(ANSWER)
        await lasting.publish(publication)
        await nodes.by_name["n1"].stop()
        with pytest.raises(PublishError, match="n1"):
            await lasting.withdraw(TOKEN, publication.jti)
        assert not await nodes.by_name["n2"].holds(TOKEN)


class Away(Hanging):
    """A relay that does not answer: it takes the withdrawal later."""

    async def delete(self, token: str, message: str) -> bool:
        del token, message
        return False


async def test_withdrawal_that_a_relay_has_not_taken_is_an_error(clock: FakeClock) -> None:
    with pytest.raises(PublishError, match=f"so token {TOKEN} stays published"):
        await LastingPublications([Away()], KEY, clock).withdraw(TOKEN, "p-0000000000000001")
