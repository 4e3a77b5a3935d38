"""Reports that an agent sends with the poll after the one that brought a token, in simulated time."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import NOW
from tests.issuer.fleet.relays import FakeRelay
from tests.node.agent.made import NODE, MadeNode, holds, virtually
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_node.errors import UnavailableError
from wellkeeper_node.records.port import Update

REPORT = f"report/{NODE}"


class CarryingRelay(FakeRelay):
    """A relay that takes a report with a poll; `noted` has the requests of the node.

    It may refuse it, break the connection once, or be too busy for a `put`.
    """

    def __init__(self) -> None:
        super().__init__(FakeClock(NOW))
        self.noted: list[str] = []
        self.refuses = self.breaks = self.is_busy = False
        self._carried: tuple[Stored, str | None, Callable[[], None]] | None = None

    async def put(self, key: str, value: bytes, **given: Any) -> str:  # noqa: ANN401 - as in the Protocol
        if key == REPORT:
            self.noted.append("report")
            if self.is_busy:
                raise UnavailableError("the relay refused with HTTP 429", "too much at once")
        return await super().put(key, value, **given)

    def carry(self, report: Stored, expected: str | None, failed: Callable[[], None]) -> bool:
        self._carried = report, expected, failed
        return True

    async def follow(self, *kinds: Kind) -> AsyncGenerator[Update, None]:
        updates = super().follow(*kinds)
        while True:
            await self._poll()
            yield await anext(updates)

    async def _poll(self) -> None:
        (report, expected, failed), self._carried = self._carried or (None, None, None), None
        self.noted.append("poll with a report" if report else "poll")
        if report is None or failed is None:
            return
        if self.breaks:
            self.breaks = False
            failed()
            raise UnavailableError("cannot reach the relay", "Connection reset by peer")
        if self.refuses:
            failed()
        else:
            await super().put(report.key, report.value, expected=expected, expires_at=report.expires_at)


@pytest.fixture
def node(folder: Path) -> MadeNode:
    return MadeNode(folder)


def test_token_and_withdrawal_are_reported_with_the_next_poll(node: MadeNode) -> None:
    async def work() -> None:
        node.relays[0] = relay = CarryingRelay()
        async with node.running():
            await asyncio.sleep(10)
            relay.noted.clear()
            await node.issuer.publish()
            await node.reported(holds)
            await asyncio.sleep(1)
            await node.issuer.withdraw()
            await node.reported(lambda one: not one.publications)
            await asyncio.sleep(1)
        assert relay.noted == ["poll with a report"] * 2

    virtually(work)


def test_news_while_a_poll_waits_is_reported_at_once(node: MadeNode) -> None:
    async def work() -> None:
        node.relays[0] = relay = CarryingRelay()
        async with node.running():
            await asyncio.sleep(10)
            await node.issuer.publish()
            await node.reported(holds)
            relay.noted.clear()
            node.links[0].notify()
            await asyncio.sleep(1)
        assert relay.noted == ["report"]

    virtually(work)


def test_report_that_was_refused_with_a_poll_is_sent_again(node: MadeNode) -> None:
    async def work() -> None:
        node.relays[0] = relay = CarryingRelay()
        async with node.running():
            await asyncio.sleep(10)
            relay.refuses = True
            await node.issuer.publish()
            await node.reported(holds)
            assert not node.links[0].failure

    virtually(work)


def test_report_that_was_lost_with_a_poll_is_sent_again(node: MadeNode) -> None:
    async def work() -> None:
        node.relays[0] = relay = CarryingRelay()
        async with node.running():
            await asyncio.sleep(10)
            relay.breaks = True
            await node.issuer.publish()
            await node.reported(holds)
            await asyncio.sleep(10)
            assert not node.links[0].failure

    virtually(work)


def test_report_after_a_failure_does_not_come_with_a_poll(node: MadeNode) -> None:
    async def work() -> None:
        node.relays[0] = relay = CarryingRelay()
        async with node.running():
            await asyncio.sleep(10)
            relay.is_busy = True
            node.links[0].notify()
            await asyncio.sleep(0.05)
            assert node.links[0].failure
            relay.is_busy = False
            await node.issuer.publish()
            await node.reported(holds)
            await asyncio.sleep(1)
            assert not node.links[0].failure

    virtually(work)
