"""Show how agents find a relay again that was away: soon, less and less often, and not all at the same moment."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from itertools import pairwise

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import NOW
from tests.issuer.fleet.relays import FakeRelay
from tests.node.agent.made import virtually
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_node.agent.links import Link
from wellkeeper_node.records.port import Update

UNJITTERED = [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


class AwayRelay(FakeRelay):
    """A relay that is away; `followed_at` and `reported_at` are the seconds at which it was tried."""

    def __init__(self) -> None:
        super().__init__(FakeClock(NOW))
        self.is_up = False
        self.followed_at: list[float] = []
        self.reported_at: list[float] = []

    async def follow(self, *kinds: Kind) -> AsyncGenerator[Update, None]:
        self.followed_at.append(asyncio.get_running_loop().time())
        async for update in super().follow(*kinds):
            yield update

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        expected: str | None = None,
        lease: str | None = None,
        expires_at: float | None = None,
    ) -> str:
        self.reported_at.append(asyncio.get_running_loop().time())
        return await super().put(key, value, expected=expected, lease=lease, expires_at=expires_at)


class OnlyReports:
    """`links.Member` of a node that never hears anything."""

    async def take(self, stored: Stored) -> bool:
        raise AssertionError(stored)

    def taken(self) -> None: ...

    def manifest_number(self, message: bytes) -> int:
        raise AssertionError(message)

    def newer_manifest(self, number: int) -> Stored | None:
        raise AssertionError(number)

    async def report(self) -> Stored:
        return Stored("report/web2", b"report", None)

    async def show(self) -> None: ...


def tries(*choices: Callable[[], float], seconds: float = 60.0) -> list[AwayRelay]:
    """Return the relays that one agent for each source of random numbers tried to reach."""
    relays = [AwayRelay() for _ in choices]

    async def work() -> None:
        links = [
            Link("relay", relay, OnlyReports(), FakeClock(NOW), choose)
            for relay, choose in zip(relays, choices, strict=True)
        ]
        running = [asyncio.create_task(link.run()) for link in links]
        await asyncio.sleep(seconds)
        for one in running:
            one.cancel()
        await asyncio.wait(running)

    virtually(work)
    return relays


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)][: len(UNJITTERED)]


@pytest.mark.parametrize("chosen", [0.0, 0.5, 1.0])
def test_pauses_double_up_to_five_seconds_and_at_most_half_of_each_is_taken_away(chosen: float) -> None:
    (relay,) = tries(lambda: chosen)
    wanted = [seconds * (1 - chosen / 2) for seconds in UNJITTERED]
    assert gaps(relay.followed_at) == pytest.approx(wanted, abs=1e-3)
    assert gaps(relay.reported_at) == pytest.approx(wanted, abs=1e-3)


def test_hundred_agents_do_not_reconnect_together() -> None:
    numbers = random.Random(3)  # noqa: S311 - the same numbers each time
    relays = tries(*[numbers.random] * 100)
    for times in ([relay.followed_at for relay in relays], [relay.reported_at for relay in relays]):
        tenths = [int(at * 10) for one in times for at in one if at >= 30]
        most = max(tenths.count(tenth) for tenth in set(tenths))
        assert len(tenths) > 500
        assert most < 20
        assert max(max(gaps(one)) for one in times) <= 5.0 + 1e-3
