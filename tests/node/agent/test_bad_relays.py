"""Relays that break connections, do not answer, or meet a fault of ours, in simulated time."""

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import NOW
from tests.fleet import PAIR, A, version
from tests.issuer.fleet.relays import FakeRelay
from tests.node.agent.made import MadeNode, is_served, virtually
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_issuer.fleet.sealing import seal
from wellkeeper_node.agent import waiting
from wellkeeper_node.complaints import MOST
from wellkeeper_node.errors import UnavailableError
from wellkeeper_node.records.port import Update


class SilentRelay(FakeRelay):
    """A relay that has nothing and answers no request for a bundle."""

    def __init__(self) -> None:
        super().__init__(FakeClock(NOW))
        self.gets = 0

    async def get(self, key: str) -> Stored | None:
        if not key.startswith("bundle/"):
            return await super().get(key)
        self.gets += 1
        await asyncio.sleep(2)
        raise UnavailableError("it did not answer")


def test_relay_that_does_not_answer_delays_few_of_many_bundles(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder, relays=2)
        silent = node.relays[0] = SilentRelay()
        node.issuer.relays = node.relays[1:]
        await node.issuer.enrol()
        for number in range(30):
            await node.issuer.send(f"c{number}", seal(f"c{number}", version(1), PAIR, [A], NOW))
        await node.issuer.deliver(1)
        async with node.running():
            await node.reported(partial(is_served, 1), relay=1)
            assert silent.gets <= 8

    virtually(work)


class BreakingRelay(FakeRelay):
    """A relay that sends all that it has, and then breaks the connection."""

    def __init__(self) -> None:
        super().__init__(FakeClock(NOW))
        self.follows = 0

    async def follow(self, *kinds: Kind) -> AsyncGenerator[Update, None]:
        self.follows += 1
        async for update in super().follow(*kinds):
            yield update
            if update.is_whole:
                raise UnavailableError("the connection broke")


def test_relay_that_breaks_each_connection_is_not_asked_again_and_again(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder)
        broken = node.relays[0] = BreakingRelay()
        node.issuer.relays = node.relays
        await node.issuer.deliver(1)
        async with node.running():
            await node.reported(lambda one: is_served(1, one))
            await asyncio.sleep(60)
            assert 10 <= broken.follows <= 25

    virtually(work)


def test_relay_that_breaks_each_connection_does_not_fill_the_log(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        node = MadeNode(folder)
        node.relays[0] = BreakingRelay()
        async with node.running():
            await asyncio.sleep(3000)

    caplog.set_level(logging.INFO)
    virtually(work)
    for line in ("no contact with the relay", "following the relay"):
        assert 40 < caplog.text.count(line) < MOST


class FullRelay(FakeRelay):
    """A relay that has news, and takes no reports while it `is_full`."""

    def __init__(self) -> None:
        super().__init__(FakeClock(NOW))
        self.is_full = True

    async def put(self, key: str, value: bytes, **condition: Any) -> str:  # noqa: ANN401 - as FakeRelay's
        if key.startswith("report/") and self.is_full:
            raise UnavailableError("the relay is full")
        return await super().put(key, value, **condition)


def test_relay_that_takes_no_reports_is_one_outage_whatever_it_sends(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        node = MadeNode(folder, relays=2)
        full = node.relays[0] = FullRelay()
        node.issuer.relays = node.relays
        async with node.running():
            for number in range(1, 5):
                await node.issuer.deliver(number)
                await node.reported(partial(is_served, number), relay=1)
                assert node.links[0].failure == "the relay is full"
            full.is_full = False
            await node.reported(lambda _: not node.links[0].failure)

    virtually(work)
    assert caplog.text.count("no contact with the relay relay0") == 1


class ForgetfulRelay(FakeRelay):
    """A relay that takes the manifest of a node, and says the next moment that it has none."""

    async def follow(self, *kinds: Kind) -> AsyncGenerator[Update, None]:
        async for update in super().follow(*kinds):
            yield update
            break
        while True:
            await asyncio.sleep(1)
            self.restart()
            yield Update((), (), is_snapshot=True, is_whole=True)


def test_relay_that_forgets_the_manifest_does_not_fill_the_log(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        node = MadeNode(folder, relays=2)
        node.relays[0] = ForgetfulRelay(FakeClock(NOW))
        node.issuer.relays = node.relays[1:]
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(partial(is_served, 1), relay=1)
            await asyncio.sleep(1000)

    caplog.set_level(logging.INFO)
    virtually(work)
    assert 50 < caplog.text.count("gave the relay relay0 a newer manifest") <= MOST


def test_relay_that_was_there_for_long_is_asked_again_soon(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder)
        await node.issuer.deliver(1)
        node.relays[0].is_up = False
        async with node.running():
            await node.lost_contact()
            await asyncio.sleep(60)
            node.relays[0].is_up = True
            await node.reported(partial(is_served, 1))
            await asyncio.sleep(60)
            node.relays[0].is_up = False
            await node.lost_contact()
            node.relays[0].is_up = True
            began = node.clock.monotonic()
            await node.reported(lambda _: not node.links[0].failure)
            assert node.clock.monotonic() - began < 5

    virtually(work)


def test_relays_are_not_asked_again_at_the_same_moment_by_all_nodes() -> None:
    chosen = iter([0.0, 0.5, 1.0, 0.0, 0.5])
    assert [*itertools.islice(waiting.pauses(1, 8, lambda: next(chosen)), 5)] == [1, 1.5, 2, 8, 6]


def test_fault_in_the_program_ends_neither_the_link_nor_the_agent(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class FaultyRelay(FakeRelay):
        async def follow(self, *kinds: Kind) -> AsyncGenerator[Update, None]:
            async for update in super().follow(*kinds):
                yield replace(update, records=1 / 0)  # type: ignore[arg-type]

        async def put(self, key: str, value: bytes, **condition: Any) -> str:  # noqa: ANN401 - as FakeRelay's
            if key.startswith("report/"):
                raise ZeroDivisionError
            return await super().put(key, value, **condition)

    async def work() -> None:
        node = MadeNode(folder, relays=2)
        node.relays[0] = FaultyRelay(FakeClock(NOW))
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one), relay=1)
            assert "ZeroDivisionError" in node.links[0].failure

    virtually(work)
    assert "ZeroDivisionError" in caplog.text
