"""Relays that are away, refuse, or make things up; and the reports for them, in simulated time."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import NOW
from tests.fleet import OTHER_FLEET_KEY, PAIR, TIME, WEB1, A, public, version
from tests.issuer.fleet.relays import FakeRelay
from tests.node.agent.made import JTI, NODE, MadeNode, holds, is_served, virtually
from tests.relay.messages import FLEET_KEY
from wellkeeper_client import records
from wellkeeper_client.records import Kind, Record
from wellkeeper_issuer.fleet.sealing import seal, wrap
from wellkeeper_node.agent.report import CertificateReport, CertificateState, Report
from wellkeeper_node.bundles.manifest import MANIFEST_KEY
from wellkeeper_node.errors import ConflictError
from wellkeeper_node.records.port import Update

_SERVED = CertificateReport(1, "ab" * 32, CertificateState.SERVED)


@pytest.fixture
def node(folder: Path) -> MadeNode:
    return MadeNode(folder)


def test_second_relay_is_enough_while_the_first_is_away(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        node = MadeNode(folder, relays=2)
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one), relay=1)
            node.relays[0].is_up = False
            node.issuer.relays = node.relays[1:]
            await node.issuer.deliver(2)
            await node.reported(lambda one: is_served(2, one), relay=1)
            assert node.links[0].failure
            node.relays[0].is_up = True
            await node.reported(lambda one: is_served(2, one), relay=0)

    caplog.set_level(logging.INFO)
    virtually(work)
    assert caplog.text.count("no contact with the relay relay0") == 1
    assert "gave the relay relay0 a newer manifest" in caplog.text


def test_report_does_not_wait_for_the_disk(node: MadeNode) -> None:
    async def work() -> None:
        node.disk.clear()
        async with node.running():
            await node.reported(lambda one: one.version == node.version)
            assert not (node.folder / "status.json").exists()
            node.disk.set()
            await node.issuer.publish()
            await node.reported(holds)
            await asyncio.sleep(1)
            assert (node.folder / "status.json").exists()

    virtually(work)


def test_reports_that_follow_closely_are_written_to_disk_once(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            await asyncio.sleep(10)
            node.shown.clear()
            await node.issuer.publish()
            await node.reported(holds)
            await node.issuer.withdraw()
            await node.reported(lambda one: not one.publications)
            await asyncio.sleep(10)
        assert [dict(one.publications) for one in node.shown] == [{}]

    virtually(work)


class NotingRelay(FakeRelay):
    """A relay that notes what is written to it, and when its follower asks for more."""

    def __init__(self) -> None:
        super().__init__(FakeClock(NOW))
        self.noted: list[str] = []

    async def put(self, key: str, value: bytes, **given: Any) -> str:  # noqa: ANN401 - as in the Protocol
        self.noted.append(key)
        return await super().put(key, value, **given)

    async def follow(self, *kinds: Kind) -> AsyncGenerator[Update, None]:
        async for update in super().follow(*kinds):
            yield update
            self.noted.append("asked for more")


@pytest.mark.parametrize("is_responder_up", [True, False])
def test_token_is_reported_before_the_relay_is_asked_for_more(node: MadeNode, is_responder_up: bool) -> None:
    async def work() -> None:
        node.relays[0] = relay = NotingRelay()
        async with node.running():
            await asyncio.sleep(10)
            if not is_responder_up:
                await node.responder.stop()
            relay.noted.clear()
            await node.issuer.publish()
            await asyncio.sleep(1)
        # Without the responder, there is nothing to report yet, and other records must not wait for it.
        reports = [f"report/{NODE}"] if is_responder_up else []
        assert relay.noted == [f"publication/{JTI}", *reports, "asked for more"]

    virtually(work)


def test_forged_foreign_and_older_records_change_nothing(node: MadeNode, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        relay = node.relays[0]
        async with node.running():
            older = await node.issuer.deliver(1)
            first = await relay.get(MANIFEST_KEY)
            await node.issuer.deliver(2)
            await node.reported(lambda one: is_served(2, one))
            live = dict(node.certificates.live)
            assert node.issuer.manifest is not None
            assert first is not None
            forged = replace(node.issuer.manifest, number=node.issuer.manifest.number + 1, lineages={})
            await node.issuer.write(MANIFEST_KEY, records.sign(forged.to_record(), OTHER_FLEET_KEY).encode())
            await node.reported(lambda one: "cannot use the manifest" in (one.concern or ""))
            for one in (older, PAIR):
                made = seal("web", version(3), one, [A], NOW)
                await node.issuer.write("wrap/web2/web", _signed(wrap(made, "web1", public(WEB1)).to_record(TIME)))
            await node.issuer.write("publication/p-0000000000000003", b"junk")
            await node.issuer.write(MANIFEST_KEY, first.value)
            await node.issuer.publish()
            report = await node.reported(holds)
            assert is_served(2, report)
            assert node.certificates.live == live

    caplog.set_level(logging.DEBUG)
    virtually(work)
    assert "ignored the record 'wrap/web2/web': it is the record 'wrap/web1/web'" in caplog.text
    assert "ignored the record 'publication/p-0000000000000003': it is not a compact JWS" in caplog.text


def _signed(record: Record) -> bytes:
    return records.sign(record, FLEET_KEY).encode()


def test_report_that_is_too_long_has_digests_of_certificates_that_are_served(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running() as agent:
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            many = {f"{'x' * 200}{number}": _SERVED for number in range(1000)}
            agent._work.pickup.reports.update(many)  # noqa: SLF001 - so many would take too long to make
            node.links[0].notify()
            report = await node.reported(lambda one: bool(one.done))
            assert report.concern is None
            assert 100 < len(report.certificates) < 1000
            assert all(report.is_done(name, one.number) for name, one in many.items())

    virtually(work)


def _has_more_than(count: int, report: Report) -> bool:
    return len(report.certificates) > count


def _is_concerned(count: int, report: Report) -> bool:
    return report.concern == f"after {count}"


def test_long_reports_are_rarer_so_that_issuer_and_relay_keep_up(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running() as agent:
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
            seconds = []
            for number in (1, 700):
                many = {f"{'x' * 100}{one}": _SERVED for one in range(number)}
                agent._work.pickup.reports.update(many)  # noqa: SLF001 - so many would take too long to make
                node.links[0].notify()
                await node.reported(partial(_has_more_than, number))
                began = asyncio.get_running_loop().time()
                agent._work.pickup.concern = f"after {number}"  # noqa: SLF001
                node.links[0].notify()
                await node.reported(partial(_is_concerned, number))
                seconds.append(asyncio.get_running_loop().time() - began)
            assert seconds[0] < 0.1
            assert 0.4 < seconds[1] < 1.1

    virtually(work)


def test_report_that_cannot_be_signed_is_a_failure_of_the_link(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder, version="x" * 300_000)
        async with node.running():
            assert "cannot sign a report" in await node.lost_contact()

    virtually(work)


def test_relay_that_is_away_at_the_start_is_followed_later(node: MadeNode, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        await node.issuer.deliver(1)
        node.relays[0].is_up = False
        async with node.running():
            await node.lost_contact()
            node.relays[0].is_up = True
            await node.reported(lambda one: is_served(1, one))
            assert node.links[0].failure == ""

    virtually(work)
    assert caplog.text.count("no contact with the relay relay0") == 1


def test_bundle_is_taken_from_the_relay_that_has_it(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder, relays=3)
        made = seal("web", version(1), PAIR, [A], NOW)
        await node.issuer.send("web", made)
        await node.issuer.list()
        former = seal("web", version(2), PAIR, [A], NOW)
        for relay, message in ((0, b"junk"), (1, _signed(former.bundle.to_record(TIME)))):
            node.issuer.relays = [node.relays[relay]]
            await node.issuer.write("bundle/web", message)
        async with node.running():
            await node.reported(lambda one: is_served(1, one), relay=2)

    virtually(work)


class RefusingRelay(FakeRelay):
    """A relay in which another one is always quicker to put a manifest."""

    async def put(self, key: str, value: bytes, **condition: Any) -> str:  # noqa: ANN401 - as FakeRelay's
        if key == MANIFEST_KEY:
            raise ConflictError("refused")
        return await super().put(key, value, **condition)


def test_relay_that_refuses_the_manifest_is_still_followed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        node = MadeNode(folder)
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))
        node.relays[0] = RefusingRelay(FakeClock(NOW))
        node.issuer.relays = node.relays
        async with node.running():
            await node.issuer.publish()
            await node.reported(holds)
            assert node.links[0].failure == ""

    caplog.set_level(logging.DEBUG)
    virtually(work)
    assert "cannot give the relay relay0 a newer manifest: refused" in caplog.text


class RelayWithTwoAddresses(FakeRelay):
    """A relay that got a newer report by its other address before the first one."""

    def __init__(self) -> None:
        super().__init__(FakeClock(NOW))
        self.older = b""

    async def put(self, key: str, value: bytes, **condition: Any) -> str:  # noqa: ANN401 - as FakeRelay's
        if key.startswith("report/"):
            self.older = self.older or value
            if value == self.older:
                raise ConflictError("has had a higher number")
        return await super().put(key, value, **condition)


def test_report_that_another_link_overtook_is_no_outage(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        node = MadeNode(folder)
        node.relays[0] = RelayWithTwoAddresses()
        node.issuer.relays = node.relays
        async with node.running():
            await node.issuer.deliver(1)
            await node.reported(lambda one: is_served(1, one))

    virtually(work)
    assert "no contact with the relay" not in caplog.text
