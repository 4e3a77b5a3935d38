"""Reports that come with a node's poll."""

import asyncio

from tests.relay.conftest import RECORDS, RunningRelay
from tests.relay.messages import STRANGER_KEY, WEB1_KEY, signed
from tests.responder.http import Reply, problem_of
from wellkeeper_client.record_state import version_of
from wellkeeper_relay.keys import NODES_CHECKS

REPORT = "report/web1"


async def poll_path(running: RunningRelay, wait: int = 60) -> str:
    first = (await running.ask_as("web1", f"{RECORDS}?kinds=bundle")).json()
    return f"{RECORDS}?kinds=bundle&instance={first['instance']}&after={first['next']}&wait={wait}"


async def reported(running: RunningRelay) -> bytes | None:
    found = (await running.read(f"{RECORDS}/{REPORT}")).json()["record"]
    return found["value"].encode() if found else None


async def test_report_is_stored_before_the_poll_waits(running: RunningRelay) -> None:
    path, report = await poll_path(running), signed(REPORT, by=WEB1_KEY)
    poll = asyncio.ensure_future(running.ask_as("web1", path, "POST", report))
    await running.until_polls_wait()
    assert await reported(running) == report
    await running.feed("bundle/www", signed())
    assert [one["key"] for one in (await poll).json()["records"]] == ["bundle/www"]


async def test_later_report_names_the_version_before(running: RunningRelay) -> None:
    path = await poll_path(running, wait=0)
    first, second = (signed(REPORT, number, by=WEB1_KEY) for number in (1, 2))
    assert (await running.ask_as("web1", path, "POST", first)).status == 200
    assert (await running.ask_as("web1", f"{path}&expected={version_of(first)}", "POST", second)).status == 200
    assert await reported(running) == second


async def test_report_in_conflict_is_refused_without_waiting(running: RunningRelay) -> None:
    path, first = await poll_path(running), signed(REPORT, 1, by=WEB1_KEY)
    await running.ask_as("web1", f"{RECORDS}/{REPORT}", "PUT", first)
    reply = await running.ask_as("web1", path, "POST", signed(REPORT, 2, by=WEB1_KEY))
    problem_of(reply, 412, "conflict")
    assert await reported(running) == first


async def test_report_of_another_is_refused(running: RunningRelay) -> None:
    path = await poll_path(running)
    for message, status in {
        signed(REPORT, by=STRANGER_KEY): 401,
        signed("report/web2", by=WEB1_KEY): 400,
        signed("bundle/www"): 401,
    }.items():
        assert (await running.ask_as("web1", path, "POST", message)).status == status
    assert await reported(running) is None


async def test_checks_of_reports_with_polls_are_limited(running: RunningRelay) -> None:
    path = await poll_path(running)

    async def poll() -> Reply:
        return await running.ask_as("web1", path, "POST", b"a.b.c")

    statuses = [(await poll()).status for _ in range(2 * NODES_CHECKS + 1)]
    assert statuses == [400] * 2 * NODES_CHECKS + [429]


async def test_page_says_who_may_send_a_report_with_a_poll(running: RunningRelay) -> None:
    path = f"{RECORDS}?kinds=bundle"
    assert (await running.ask_as("web1", path)).json()["takes_report"] is True
    assert (await running.read(path)).json()["takes_report"] is False
    assert (await running.read(path, "POST")).status == 405


async def test_report_to_a_former_instance_brings_a_snapshot(running: RunningRelay) -> None:
    report = signed(REPORT, by=WEB1_KEY)
    for _ in range(2):  # the second one changes nothing
        reply = await running.ask_as("web1", f"{RECORDS}?kinds=node&instance=x&after=7&wait=60", "POST", report)
        assert [one["key"] for one in reply.json()["records"]] == ["node/web1"]
    assert await reported(running) == report
