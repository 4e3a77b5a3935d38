"""Relays that repeat and make up records without an end: they cost a bounded share of time, memory and log."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import NOW
from tests.fleet import PAIR, TIME, WEB2, A, message, public, version
from tests.fleet import manifest_of as made_manifest
from tests.issuer.fleet.relays import FakeRelay
from tests.node.agent.made import MadeNode, holds, is_served, virtually
from tests.relay.messages import FLEET_KEY, FLEET_KEYS, STRANGER_KEY, signed
from wellkeeper_client import records
from wellkeeper_client.record_state import Stored
from wellkeeper_client.records import Kind
from wellkeeper_issuer.fleet.sealing import seal, wrap
from wellkeeper_node.agent.inbox import Inbox
from wellkeeper_node.agent.manifests import Manifests
from wellkeeper_node.bundles.kept import ManifestFile
from wellkeeper_node.complaints import MOST
from wellkeeper_node.records.port import Update


class FloodingRelay(FakeRelay):
    """A relay that sends these records again and again, each time in a page of their own."""

    def __init__(self, *sent: Stored) -> None:
        super().__init__(FakeClock(NOW))
        self._sent = sent
        self.pages = 0

    async def follow(self, *kinds: Kind) -> AsyncGenerator[Update, None]:
        async for update in super().follow(*kinds):
            yield update
            break
        for one in itertools.cycle(self._sent):
            await asyncio.sleep(0.001)
            self.pages += 1
            yield Update((one,), (), is_snapshot=False, is_whole=True)


def _wrap() -> Stored:
    record = wrap(seal("web", version(1), PAIR, [A], NOW), "web2", public(WEB2)).to_record(TIME)
    return Stored(record.key, records.sign(record, FLEET_KEY).encode())


def test_relay_that_sends_nothing_new_is_slowed_down_and_others_are_not(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder, relays=2)
        forged = Stored("publication/p-0000000000000009", signed("publication/p-0000000000000009", by=STRANGER_KEY))
        old = Stored("manifest/fleet", message(made_manifest(), number=1, issued_at=1))
        flooding = FloodingRelay(_wrap(), forged, old)
        node.relays = [flooding, node.relays[1]]
        node.issuer.relays = node.relays[1:]
        async with node.running():
            await node.issuer.deliver(1)
            await node.issuer.publish()
            await node.reported(lambda one: holds(one) and is_served(1, one), relay=1)
            await asyncio.sleep(100)
            assert 100 < flooding.pages < 200
            await node.issuer.deliver(2)
            await node.reported(lambda one: is_served(2, one), relay=1)

    virtually(work)


class RemovingRelay(FakeRelay):
    """A relay that begins again and again, and says each time that something was removed."""

    def __init__(self) -> None:
        super().__init__(FakeClock(NOW))
        self.pages = 0

    async def follow(self, *kinds: Kind) -> AsyncGenerator[Update, None]:  # noqa: ARG002 - as FakeRelay's
        while True:
            await asyncio.sleep(0.001)
            self.pages += 1
            yield Update((), ("publication/p-0000000000000009",), is_snapshot=True, is_whole=True)


def test_relay_that_only_removes_is_slowed_down(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder)
        removing = node.relays[0] = RemovingRelay()
        async with node.running():
            await asyncio.sleep(100)
            assert 100 < removing.pages < 200
            assert removing.puts < 200

    virtually(work)


def test_same_wrap_again_is_nothing_new() -> None:
    inbox, sent = Inbox("web2", FLEET_KEYS, FakeClock(NOW)), _wrap()
    assert inbox.take(sent) is not None
    assert inbox.take(sent) is None
    assert inbox.take(_wrap()) is not None


async def test_manifests_that_are_made_up_do_not_fill_the_log(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    reports: list[None] = []
    file = ManifestFile(folder / "manifest.jws", FLEET_KEYS)
    manifests = Manifests(file, FakeClock(NOW), lambda: reports.append(None))
    for number in range(10 * MOST):
        assert not await manifests.take(b"x" * (Kind.MANIFEST.longest + 1 + number))
    assert len(caplog.messages) == MOST
    assert len(reports) == 1
