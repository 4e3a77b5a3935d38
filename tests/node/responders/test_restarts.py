"""Responders that are restarted during a renewal: publishing waits for them, but not forever."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.contracts.test_responders import ANSWER
from tests.fakes import FakeClock
from tests.node.nodes import Nodes
from tests.responder.messages import KEY, TOKEN
from wellkeeper_node.errors import PublishError
from wellkeeper_node.responders.client import ResponderClient
from wellkeeper_node.responders.publications import AllResponders


class LivelyClock(FakeClock):
    """A clock during whose third sleep, once it is armed, something happens."""

    def __init__(self, happens: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._happens = happens
        self._left = 0

    def arm(self) -> None:
        self._left = 3

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self._left -= 1
        if self._left == 0:
            await self._happens()


def responders(address: str, clock: FakeClock) -> AllResponders:
    return AllResponders([ResponderClient("n1", address, KEY, clock)], KEY, clock)


@pytest.mark.parametrize("was_reached", [False, True], ids=["not yet connected", "connected before"])
async def test_publishing_waits_for_a_responder_that_restarts(nodes: Nodes, *, was_reached: bool) -> None:
    node = nodes["n1"]
    clock = LivelyClock(node.start)
    async with responders(str(node.control), clock) as way:
        if was_reached:
            async with way.publish([ANSWER]):
                pass
        await node.stop()
        clock.arm()
        async with way.publish([ANSWER]):
            assert await node.holds(TOKEN)


async def test_responder_that_stays_away_is_waited_for_ten_seconds(folder: Path, clock: FakeClock) -> None:
    began = clock.monotonic()
    async with responders(f"unix:{folder}/none.sock", clock) as way:
        with pytest.raises(PublishError, match="No such file or directory"):
            await way.publish([ANSWER]).__aenter__()
        assert clock.monotonic() - began == pytest.approx(10, abs=0.3)
        # Ten thousand certificates must not wait one after the other.
        began = clock.monotonic()
        with pytest.raises(PublishError, match="No such file or directory"):
            await way.publish([ANSWER]).__aenter__()
        assert clock.monotonic() == began


async def test_later_restart_is_waited_for_again(folder: Path, clock: FakeClock) -> None:
    async with responders(f"unix:{folder}/none.sock", clock) as way:
        for _ in range(2):
            began = clock.monotonic()
            with pytest.raises(PublishError):
                await way.publish([ANSWER]).__aenter__()
            assert clock.monotonic() - began == pytest.approx(10, abs=0.3)
            clock.advance(60)


async def test_refusal_is_not_waited_for(nodes: Nodes, clock: FakeClock) -> None:
    """A client at the public socket: something listens there, and refuses."""
    began = clock.monotonic()
    async with responders(str(nodes["n1"].public), clock) as way:
        with pytest.raises(PublishError, match="refused with HTTP"):
            await way.publish([ANSWER]).__aenter__()
    assert clock.monotonic() == began
