"""Tokens on their way through the agent, in simulated time."""

import asyncio
from pathlib import Path

import pytest

from tests.fleet import TIME
from tests.node.agent.made import JTI, MadeNode, holds, is_served, virtually
from tests.responder.messages import OTHER_TOKEN, TOKEN
from wellkeeper_client.records import Record


@pytest.fixture
def node(folder: Path) -> MadeNode:
    return MadeNode(folder)


def test_token_is_published_read_back_reported_and_withdrawn(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.publish()
            report = await node.reported(holds)
            assert await node.responder.holds(TOKEN)
            assert [one.address for one in report.publications[JTI].read_backs] == ["127.0.0.1:80"]
            assert (await node.responder.get(TOKEN)).status == 200
            report = await node.reported(lambda one: bool(one.fetches))
            assert report.fetches[TOKEN].count == 1
            began = node.clock.monotonic()
            assert (await node.responder.get(TOKEN)).status == 200
            await node.reported(lambda one: bool(one.fetches) and one.fetches[TOKEN].count == 2)
            assert node.clock.monotonic() - began < 5
            assert report.responder.instance_id
            await node.issuer.withdraw()
            await node.reported(lambda one: JTI not in one.publications)
            await node.reported(lambda one: not one.fetches)
            assert not await node.responder.holds(TOKEN)

    virtually(work)


def test_node_that_does_not_answer_gets_no_token(folder: Path) -> None:
    async def work() -> None:
        node = MadeNode(folder, answers=False)
        async with node.running():
            await node.issuer.publish()
            await node.issuer.deliver(1)
            report = await node.reported(lambda one: is_served(1, one))
            assert (report.publications, report.responder.error) == ({}, None)
            assert not await node.responder.holds(TOKEN)

    virtually(work)


def test_failed_read_back_is_reported_until_it_succeeds(node: MadeNode) -> None:
    async def work() -> None:
        node.probes.cause = "nginx denies it"
        async with node.running():
            await node.issuer.publish()
            report = await node.reported(lambda one: JTI in one.publications)
            assert report.publications[JTI].read_backs[0].cause == "nginx denies it"
            node.probes.cause = None
            await node.reported(holds)

    virtually(work)


def test_responder_that_is_away_is_reported_and_gets_the_token_later(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            await node.responder.stop()
            await node.issuer.publish()
            report = await node.reported(lambda one: JTI in one.publications)
            assert not report.publications[JTI].is_held
            assert "cannot reach the responder" in (report.publications[JTI].error or "")
            await node.reported(lambda one: bool(one.responder.error))
            await node.responder.start()
            former = (await node.reported(lambda one: holds(one) and not one.responder.error)).responder.instance_id
            await node.responder.stop()
            await node.responder.start()
            await node.reported(lambda one: holds(one) and one.responder.instance_id not in {"", former})
            assert await node.responder.holds(TOKEN)

    virtually(work)


def test_withdrawal_that_fails_is_logged(node: MadeNode, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.publish()
            await node.reported(holds)
            await node.responder.stop()
            await node.issuer.withdraw()
            await node.reported(lambda one: JTI not in one.publications)
            await node.reported(lambda one: bool(one.responder.error))

    virtually(work)
    assert "cannot withdraw a token, which will expire" in caplog.text


def test_publication_leaves_the_report_when_it_expires(node: MadeNode) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.publish()
            await node.reported(holds)
            await node.reported(lambda one: JTI not in one.publications)
            assert node.clock.monotonic() >= 600

    virtually(work)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        pytest.param({}, "a publication must have", id="nothing"),
        pytest.param({"message": "x"}, "not a compact JWS", id="not a JWS"),
        pytest.param({"message": "x.W10.x"}, "are not an object", id="a list"),
        pytest.param({"message": "x.e30.x"}, "has another 'jti'", id="another jti"),
        pytest.param({"withdrawal": "x.e30.x"}, "has no 'token'", id="no token"),
        pytest.param(
            {"message": "x.eyJqdGkiOiJwLTAwMDAwMDAwMDAwMDAwMDEiLCJpZGVudGlmaWVyIjoiYSIsInRva2VuIjoiLi4vIn0.x"},
            "its token is malformed",
            id="a path",
        ),
    ],
)
def test_publication_that_makes_no_sense_is_ignored(
    node: MadeNode, caplog: pytest.LogCaptureFixture, body: dict[str, str], why: str
) -> None:
    async def work() -> None:
        async with node.running():
            await node.issuer.put(Record(f"publication/{JTI}", 1, TIME, TIME + 600, body))
            await node.issuer.publish(OTHER_TOKEN, "p-0000000000000002", identifier="192.0.2.7")
            report = await node.reported(lambda one: holds(one, "p-0000000000000002"))
            assert JTI not in report.publications

    virtually(work)
    assert f"ignored the record publication/{JTI}: " in caplog.text
    assert why in caplog.text


def test_fault_in_the_program_ends_one_publication(node: MadeNode, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        node.probes.error = ZeroDivisionError()
        async with node.running():
            await node.issuer.publish()
            await asyncio.sleep(1)
            node.probes.error = None
            await node.issuer.publish(OTHER_TOKEN, "p-0000000000000002")
            report = await node.reported(lambda one: holds(one, "p-0000000000000002"))
            assert JTI not in report.publications

    virtually(work)
    assert f"unexpected error in the publication {JTI}" in caplog.text
