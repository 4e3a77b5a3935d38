"""Publishing to all responders: real ones on unix sockets."""

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.node.nodes import Nodes
from tests.responder.messages import KEY, OTHER_KEY, OTHER_THUMBPRINT, OTHER_TOKEN, THUMBPRINT, TOKEN
from wellkeeper_node.errors import PublishError
from wellkeeper_node.model import Answer
from wellkeeper_node.responders.client import ResponderClient
from wellkeeper_node.responders.publications import AllResponders

ANSWER = Answer(TOKEN, THUMBPRINT, dns("a.example"))
OTHER_ANSWER = Answer(OTHER_TOKEN, THUMBPRINT, dns("b.example"))
BOTH = ["n1", "n2"]


async def test_responders_hold_all_answers_only_inside_the_context(nodes: Nodes) -> None:
    async with nodes.responders.publish([ANSWER, OTHER_ANSWER]):
        assert await nodes.holding(TOKEN) == BOTH
        assert await nodes.holding(OTHER_TOKEN) == BOTH
        reply = await nodes["n2"].get(TOKEN)
        assert reply.body.decode() == ANSWER.key_authorization
    assert await nodes.holding(TOKEN) == []
    assert await nodes.holding(OTHER_TOKEN) == []


async def test_answers_are_withdrawn_after_an_exception(nodes: Nodes) -> None:
    with pytest.raises(ZeroDivisionError):
        async with nodes.responders.publish([ANSWER]):
            raise ZeroDivisionError
    assert await nodes.holding(TOKEN) == []


async def test_answers_are_withdrawn_after_a_cancellation(nodes: Nodes) -> None:
    inside = asyncio.Event()

    async def stay() -> None:
        async with nodes.responders.publish([ANSWER]):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(stay())
    await inside.wait()
    assert await nodes.holding(TOKEN) == BOTH
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await nodes.holding(TOKEN) == []


async def test_responder_that_is_down_is_named_and_the_others_keep_no_answers(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    await nodes["n2"].stop()
    with pytest.raises(PublishError) as caught:
        await nodes.responders.publish([ANSWER]).__aenter__()
    text = str(caught.value)
    assert "the CA was not asked" in text
    assert f"cannot reach the responder of node 'n2' ({nodes['n2'].control})" in text
    assert "Check that wellkeeper-responder runs there with this --control address." in text
    assert "'n1'" not in text  # in quotes: the random path of a socket may contain it as well
    assert await nodes["n1"].holds(TOKEN) is False
    assert "cannot withdraw" not in caplog.text  # what it never took is not withdrawn


async def test_all_responders_that_are_down_are_named_together(nodes: Nodes) -> None:
    for one in nodes.all:
        await one.stop()
    with pytest.raises(PublishError, match=r"nodes 'n1', 'n2', so"):
        await nodes.responders.publish([ANSWER]).__aenter__()


async def test_refused_second_token_withdraws_the_first(nodes: Nodes) -> None:
    foreign = Answer(OTHER_TOKEN, OTHER_THUMBPRINT, dns("b.example"))
    with pytest.raises(PublishError, match=r"refused with HTTP 403: .*add it to its trust file"):
        await nodes.responders.publish([ANSWER, foreign]).__aenter__()
    assert await nodes.holding(TOKEN) == []


async def test_foreign_publishing_key_is_refused_with_the_responders_detail(nodes: Nodes, clock: FakeClock) -> None:
    client = ResponderClient("n1", str(nodes["n1"].control), OTHER_KEY, clock)
    async with AllResponders([client], OTHER_KEY, clock) as responders:
        with pytest.raises(PublishError, match=r"'n1' \(unix:.*\) refused with HTTP 401: .*key"):
            await responders.publish([ANSWER]).__aenter__()


async def test_certificates_do_not_withdraw_each_others_tokens(nodes: Nodes) -> None:
    async with nodes.responders.publish([ANSWER]):
        async with nodes.responders.publish([OTHER_ANSWER]):
            assert await nodes.holding(OTHER_TOKEN) == BOTH
        assert await nodes.holding(TOKEN) == BOTH
        assert await nodes.holding(OTHER_TOKEN) == []


async def test_token_shared_by_two_certificates_is_withdrawn_by_the_last(nodes: Nodes) -> None:
    """Share a token, as two orders do when a CA reuses a pending authorization."""
    async with nodes.responders.publish([ANSWER]):
        async with nodes.responders.publish([ANSWER, ANSWER]):
            pass
        assert await nodes.holding(TOKEN) == BOTH
    assert await nodes.holding(TOKEN) == []


async def test_publishing_no_answers_sends_no_requests(nodes: Nodes, caplog: pytest.LogCaptureFixture) -> None:
    for one in nodes.all:
        await one.stop()
    async with nodes.responders.publish([]):
        await asyncio.sleep(0.01)
    assert caplog.text == ""


async def test_restarted_responder_gets_the_tokens_again(nodes: Nodes) -> None:
    async with nodes.responders.publish([ANSWER, OTHER_ANSWER]):
        await nodes["n1"].stop()
        await nodes["n1"].start()
        assert await nodes.holding(TOKEN) == ["n2"]
        await nodes["n1"].held(TOKEN)
        await nodes["n1"].held(OTHER_TOKEN)
    assert await nodes.holding(TOKEN) == []


async def test_each_restart_is_noticed(nodes: Nodes) -> None:
    async with nodes.responders.publish([ANSWER]):
        for _ in range(3):
            await nodes["n1"].stop()
            await nodes["n1"].start()
            await nodes["n1"].held(TOKEN)


async def test_restart_long_after_the_feed_started_is_noticed(nodes: Nodes) -> None:
    async with nodes.responders.publish([ANSWER]), nodes.responders.watch(TOKEN) as watch:
        await nodes["n1"].get(TOKEN)
        assert await watch.settle(0, 10)
        await nodes["n1"].stop()
        await nodes["n1"].start()
        await nodes["n1"].held(TOKEN)


async def test_restart_right_after_the_token_was_accepted_is_noticed(nodes: Nodes, clock: FakeClock) -> None:
    node = nodes["n1"]

    class RestartingClient(ResponderClient):
        async def put(self, token: str, message: str) -> str:
            taken_by = await super().put(token, message)
            if not restarted:
                restarted.append(taken_by)
                await node.stop()
                await node.start()
            return taken_by

    restarted: list[str] = []
    client = RestartingClient("n1", str(node.control), KEY, clock)
    async with AllResponders([client], KEY, clock) as responders, responders.publish([ANSWER]):
        await node.held(TOKEN)


async def test_restarted_responder_does_not_get_withdrawn_tokens(nodes: Nodes) -> None:
    async with nodes.responders.publish([ANSWER]):
        pass
    async with nodes.responders.publish([OTHER_ANSWER]):
        await nodes["n1"].stop()
        await nodes["n1"].start()
        await nodes["n1"].held(OTHER_TOKEN)
        assert await nodes.holding(TOKEN) == []


async def test_failed_withdrawal_is_logged_and_not_raised(nodes: Nodes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with nodes.responders.publish([ANSWER]):
            await nodes["n2"].stop()
    assert "cannot withdraw 1 token, valid for up to 1800 s: cannot reach the responder of node 'n2'" in caplog.text
    assert not await nodes["n1"].holds(TOKEN)


async def test_watch_sees_fetches_on_any_node(nodes: Nodes) -> None:
    async with nodes.responders.publish([ANSWER]):
        for name in BOTH:
            async with nodes.responders.watch(TOKEN) as watch:
                await nodes[name].get(TOKEN)
                assert await watch.settle(0, 10)


async def test_read_backs_and_other_tokens_are_not_counted(nodes: Nodes) -> None:
    async with nodes.responders.publish([ANSWER, OTHER_ANSWER]), AsyncExitStack() as watches:
        watch = await watches.enter_async_context(nodes.responders.watch(TOKEN))
        other = await watches.enter_async_context(nodes.responders.watch(OTHER_TOKEN))
        await nodes["n1"].holds(TOKEN)
        await nodes["n1"].get(OTHER_TOKEN)
        assert await other.settle(0, 10)
        assert not await watch.settle(0, 0)


async def test_outage_is_logged_once(nodes: Nodes, caplog: pytest.LogCaptureFixture) -> None:
    def reported() -> int:
        return caplog.text.count(
            "cannot read the fetches for now, polling the CA instead: cannot reach the responder of node 'n1'"
        )

    async with nodes.responders.publish([ANSWER]):
        for outages in (1, 2):
            await nodes["n1"].stop()
            while reported() != outages:
                await nodes["n2"].held(TOKEN)
            for _ in range(20):
                await nodes["n2"].held(TOKEN)
            assert reported() == outages
            await nodes["n1"].start()
            await nodes["n1"].held(TOKEN)


async def test_hung_responder_does_not_keep_the_ca_waiting(folder: Path, clock: FakeClock) -> None:
    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_unix_server(accept, folder / "hung.sock")
    client = ResponderClient("n1", f"unix:{folder}/hung.sock", KEY, clock, call_seconds=0.01)
    async with AllResponders([client], KEY, clock) as responders:
        with pytest.raises(
            PublishError, match=r"'n1' \(unix:.*hung.sock\) did not answer within 0\.01 s. Check the responder's log"
        ):
            await responders.publish([ANSWER]).__aenter__()
    for writer in connections:
        writer.close()
    server.close()
    await server.wait_closed()
