"""Attacks of an enrolled node on the others, and of strangers on a relay's memory."""

import asyncio

import pytest

from tests.relay.conftest import RECORDS, RunningRelay, media_type
from tests.relay.messages import STRANGER_KEY, WEB1_KEY, WEB2_KEY, enrolment, signed
from tests.relay.test_joins import JSON, PATH, invite, join, started
from tests.responder.http import ask, connect, problem_of, send
from tests.responder.messages import JTI, KEY, publication
from wellkeeper_client import relay_wire
from wellkeeper_client.record_state import version_of
from wellkeeper_client.records import MAX_NUMBER
from wellkeeper_client.signing import sign_publication
from wellkeeper_relay.app import MAX_HEADER_LINE, MAX_HEADERS
from wellkeeper_relay.keys import CHECKS_PER_PEER, NODES_CHECKS

POLL = f"{RECORDS}?kinds=bundle"


async def test_node_cannot_end_the_life_of_the_manifest(running: RunningRelay) -> None:
    manifest = signed("manifest/fleet")
    await running.feed("manifest/fleet", manifest)
    again = await running.ask_as("web2", f"{RECORDS}/manifest/fleet?expires_at=1", "PUT", manifest)
    assert again.status == 200
    assert (await running.read(f"{RECORDS}/manifest/fleet")).json()["record"]["value"].encode() == manifest


@pytest.mark.parametrize("is_deleted", [True, False])
async def test_highest_report_of_a_former_node_does_not_silence_its_successor(
    running: RunningRelay, is_deleted: bool
) -> None:
    path, last = f"{RECORDS}/report/web2", signed("report/web2", MAX_NUMBER, by=WEB2_KEY)
    assert (await running.ask_as("web2", path, "PUT", last)).status == 200
    known = version_of(enrolment("web2", WEB2_KEY))
    if is_deleted:
        assert (await running.read(f"{RECORDS}/node/web2?expected={known}", "DELETE")).status == 200
        assert (await running.read(path)).json() == {"record": None}
    query = "" if is_deleted else f"?expected={known}"
    assert (await running.feed("node/web2", enrolment("web2", STRANGER_KEY, 2), query)).status == 200
    first = signed("report/web2", 1, by=STRANGER_KEY)
    assert (await running.ask_as("web2", path, "PUT", first, key=STRANGER_KEY)).status == 200


async def test_publishing_key_in_the_hands_of_a_node_publishes_nothing_at_others(running: RunningRelay) -> None:
    key = f"publication/{JTI}"
    forged = signed(key, by=KEY, message=sign_publication(publication(), KEY))
    problem_of(await running.ask_as("web2", f"{RECORDS}/{key}", "PUT", forged), 403, "forbidden")
    problem_of(await running.feed(key, forged), 401, "unknown-key")
    assert await running.keys("web1", "publication") == []


async def test_permits_of_one_node_neither_displace_nor_delay_those_of_another(running: RunningRelay) -> None:
    assert (await running.ask_as("web1", POLL)).status == 200
    reader, writer = await connect(running.relay.node_addresses[0])
    statuses = []
    for number in range(1100):
        permit = relay_wire.sign_permit("web2", running.clock.timestamp() - number, WEB2_KEY)
        writer.write(f"GET {POLL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {permit}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        statuses.append(int(head.split()[1]))
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
    writer.close()
    assert statuses == [200] * (1 + 2 * NODES_CHECKS) + [429] * (1099 - 2 * NODES_CHECKS)
    for _ in range(4 * CHECKS_PER_PEER):  # no check is left for this address
        await ask(running.relay.node_addresses[0], "GET", POLL, running.permit("web1", WEB2_KEY))
    assert (await running.ask_as("web1", POLL)).status == 200


async def test_requests_to_join_that_wait_take_one_place_for_each_invite(running: RunningRelay) -> None:
    await invite(running)
    first = await started(running)
    for _ in range(5):
        second = asyncio.create_task(join(running))
        assert (await first).json() == {"record": None}
        await running.until_polls_wait(1)
        first = second
    first.cancel()


async def test_refused_strangers_do_not_keep_their_connection(running: RunningRelay) -> None:
    await invite(running)
    get = f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    async with asyncio.timeout(30):
        assert (await send(running.relay.node_addresses[0], get)).count(b"HTTP/1.1 405 ") == 1
    for _ in range(2 * CHECKS_PER_PEER):
        await join(running, b"{}")
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON['Content-Type']}\r\nContent-Length: 0\r\n\r\n"
    async with asyncio.timeout(30):
        assert (await send(running.relay.node_addresses[0], head.encode())).startswith(b"HTTP/1.1 429 ")


async def test_nodes_connection_outlives_a_refusal(running: RunningRelay) -> None:
    reader, writer = await connect(running.relay.node_addresses[0])
    permit = running.permit("web2", WEB2_KEY)["Authorization"]
    for path, status in ((POLL, 200), ("/v1/records/nonsense", 400), (POLL, 200)):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {permit}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert int(head.split()[1]) == status
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
    writer.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Long": "x" * (MAX_HEADER_LINE + 1)},
        {f"X-{number}": "x" for number in range(MAX_HEADERS + 1)},
    ],
    ids=["long", "many"],
)
async def test_larger_header_than_nodes_send_is_refused(running: RunningRelay, headers: dict[str, str]) -> None:
    permit = running.permit("web1", WEB1_KEY)
    assert (await ask(running.relay.node_addresses[0], "GET", POLL, permit | media_type())).status == 200
    assert (await ask(running.relay.node_addresses[0], "GET", POLL, permit | headers)).status == 400
