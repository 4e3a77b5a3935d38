"""An agent whose node gets other keys: it ends, so that another begins, and reads with either key meanwhile."""

from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.node.agent.made import MadeNode, virtually
from tests.relay.conftest import RunningRelay, running
from tests.relay.messages import STRANGER_KEY, WEB1_KEY, signed
from tests.responder.messages import NOW
from wellkeeper_client.fleet_bodies import NodeBody
from wellkeeper_client.record_state import version_of
from wellkeeper_node.agent.report import Report
from wellkeeper_node.errors import InstallError, UnavailableError
from wellkeeper_node.records.relay import Reader, RelayRecords

__all__ = ["running"]

KEY = "bundle/www"


def test_agent_ends_when_the_keys_of_its_node_have_changed(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder)
        node.enrolled = lambda _: True
        async with node.running():
            await node.issuer.enrol()
            with pytest.raises(AssertionError, match="the agent ended"):
                await node.reported(lambda _: False)

    virtually(work)


def test_keys_that_cannot_be_taken_are_logged_and_the_agent_works_on(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_body: NodeBody) -> bool:
        raise InstallError("cannot replace the keys", "the disk is full")

    def has_work(found: Report) -> bool:
        return "the disk is full" in caplog.text and found.manifest > 0

    async def work() -> None:
        node = MadeNode(folder)
        node.enrolled = refuse
        async with node.running():
            await node.issuer.enrol()
            await node.issuer.deliver(1)
            await node.reported(has_work)

    virtually(work)


async def test_node_whose_keys_change_reads_with_the_one_that_the_relay_knows(running: RunningRelay) -> None:
    address, clock = str(running.relay.node_addresses[0]), FakeClock()
    clock.step(NOW - clock.timestamp())
    records = RelayRecords(address, clock, Reader("web1", STRANGER_KEY), other_reader=Reader("web1", WEB1_KEY))
    report = signed("report/web1", by=WEB1_KEY)
    with pytest.raises(UnavailableError, match="HTTP 401: "):
        await records.put("report/web1", report)  # it may be the report that is signed by another key
    with pytest.raises(UnavailableError, match="HTTP 401: "):
        await records.get(KEY)
    assert await records.get(KEY) is None
    assert await records.put("report/web1", report) == version_of(report)
    await records.close()
