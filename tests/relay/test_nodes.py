"""Rights of nodes at a relay: read what is for them, and write their report and a newer manifest."""

import asyncio
import itertools

import pytest

from tests.relay.conftest import RECORDS, RunningRelay, media_type, version
from tests.relay.messages import FLEET_KEY, STRANGER_KEY, WEB1_KEY, WEB2_KEY, enrolment, record, signed
from tests.responder.http import Reply, ask, connect, parse, problem_of, send
from tests.responder.messages import KEY
from wellkeeper_client import records, relay_wire, wire
from wellkeeper_client.record_state import version_of
from wellkeeper_client.signing import Permit, sign_permit
from wellkeeper_relay.keys import CHECKS_PER_PEER, NODES_CHECKS
from wellkeeper_relay.nodes import MAX_REQUESTS

POLL = f"{RECORDS}?kinds=bundle"


async def ask_with(running: RunningRelay, authorization: str, path: str = POLL) -> Reply:
    return await ask(running.relay.node_addresses[0], "GET", path, {"Authorization": authorization})


async def test_node_sees_what_is_for_it(running: RunningRelay) -> None:
    for key in ("bundle/www", "wrap/web1/www", "wrap/web2/www", "manifest/fleet"):
        await running.feed(key, signed(key))
    for node, by in {"web1": WEB1_KEY, "web2": WEB2_KEY}.items():
        name = f"report/{node}"
        assert (await running.ask_as(node, f"{RECORDS}/{name}", "PUT", signed(name, by=by))).status == 200
    assert await running.keys("web2") == ["bundle/www", "manifest/fleet", "node/web2", "report/web2", "wrap/web2/www"]


async def test_record_of_another_node_looks_as_if_it_were_not_there(running: RunningRelay) -> None:
    await running.feed("wrap/web1/www", signed("wrap/web1/www"))
    replies = [
        await running.ask_as("web2", f"{RECORDS}/{key}") for key in ("wrap/web1/www", "wrap/web1/no", "node/web1")
    ]
    assert [(reply.status, reply.json()) for reply in replies] == [(200, {"record": None})] * 3
    own = await running.ask_as("web1", f"{RECORDS}/wrap/web1/www")
    assert own.json()["record"]["value"].encode() == signed("wrap/web1/www")


async def test_change_for_another_node_does_not_answer_a_poll(running: RunningRelay) -> None:
    first = (await running.ask_as("web2", f"{RECORDS}?kinds=wrap")).json()
    path = f"{RECORDS}?kinds=wrap&instance={first['instance']}&after={first['next']}&wait=60"
    poll = asyncio.ensure_future(running.ask_as("web2", path))
    await running.until_polls_wait()
    await running.feed("wrap/web1/www", signed("wrap/web1/www"))
    await running.feed("wrap/web2/www", signed("wrap/web2/www"))
    assert [one["key"] for one in (await poll).json()["records"]] == ["wrap/web2/www"]


async def test_poll_of_another_instance_gets_a_snapshot_at_once(running: RunningRelay) -> None:
    await running.feed("bundle/www", signed())
    reply = await running.ask_as("web1", f"{POLL}&instance=another&after=5&wait=60")
    assert (reply.json()["is_snapshot"], len(reply.json()["records"])) == (True, 1)
    assert reply.json()["instance"] == running.relay.instance_id


async def test_poll_without_a_change_ends_after_its_time(running: RunningRelay) -> None:
    first = (await running.ask_as("web2", POLL)).json()
    path = f"{POLL}&instance={first['instance']}&after={first['next']}&wait=1"
    assert (await running.ask_as("web2", path)).json()["records"] == []


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Basic d2ViMTp4",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer \udcff",
        "Bearer " + "x" * 1500,
        "Bearer " + relay_wire.sign_permit("web1", 1_772_366_400, STRANGER_KEY),
        "Bearer " + sign_permit(Permit(1_772_366_400, 1_772_366_500), WEB1_KEY),
        "Bearer " + relay_wire.sign_permit("web2", 1_772_366_400, WEB1_KEY),
        "Bearer " + relay_wire.sign_permit("web1", 1_772_000_000, WEB1_KEY),
        "Bearer " + relay_wire.sign_permit("web1", 1_772_366_400, WEB1_KEY)[:-4] + "AAAA",
        "Bearer " + signed(by=FLEET_KEY).decode(),
    ],
    ids=itertools.count(),
)
async def test_requests_without_a_valid_permit_learn_nothing(running: RunningRelay, authorization: str) -> None:
    for path in (POLL, f"{RECORDS}/bundle/www", wire.STATUS_PATH, wire.METRICS_PATH, wire.HEALTH_PATH, "/"):
        reply = await ask_with(running, authorization, path)
        assert reply.status in {400, 401, 413}
        assert set(reply.json()) <= {"type", "title", "status", "detail", "clock"}


async def test_refusal_names_the_clock_and_the_scheme(running: RunningRelay) -> None:
    reply = await ask_with(running, "")
    assert problem_of(reply, 401, "permit-required")["clock"] == running.clock.timestamp()
    assert reply.headers["WWW-Authenticate"] == 'Bearer realm="wellkeeper-relay"'
    assert reply.headers["Server"] == "wellkeeper-relay"


async def test_strangers_connection_ends(running: RunningRelay) -> None:
    # A reply alone would leave the connection open for more than a minute.
    async with asyncio.timeout(30):
        answer = await send(running.relay.node_addresses[0], b"GET /v1/records HTTP/1.1\r\nHost: x\r\n\r\n")
    problem_of(parse(answer), 401, "permit-required")


async def test_permit_ends_with_its_node(running: RunningRelay) -> None:
    assert (await running.ask_as("web1", POLL)).status == 200
    deleted = f"{RECORDS}/node/web1?expected={version_of(enrolment('web1', WEB1_KEY))}"
    assert (await running.read(deleted, "DELETE")).status == 200
    assert (await running.ask_as("web1", POLL)).status == 401
    assert (await running.ask_as("web2", POLL)).status == 200


async def test_permit_ends_when_the_nodes_record_expires(running: RunningRelay) -> None:
    running.clock.advance(86_400 + wire.MAX_CLOCK_SKEW_SECONDS)
    problem_of(await running.ask_as("web1", POLL), 401, "unknown-key")
    await running.feed("node/web1", enrolment("web1", WEB1_KEY, issued_at=int(running.clock.timestamp())))
    assert (await running.ask_as("web1", POLL)).status == 200


async def test_nodes_new_key_replaces_its_old_one(running: RunningRelay) -> None:
    assert (await running.ask_as("web1", POLL)).status == 200
    old = version_of(enrolment("web1", WEB1_KEY))
    assert (await running.feed("node/web1", enrolment("web1", STRANGER_KEY, 2), f"?expected={old}")).status == 200
    assert (await running.ask_as("web1", POLL)).status == 401
    assert (await running.ask_as("web1", POLL, key=STRANGER_KEY)).status == 200


async def test_two_nodes_with_one_key_are_kept_apart(running: RunningRelay) -> None:
    await running.feed("node/web3", enrolment("web3", WEB1_KEY))
    deleted = f"{RECORDS}/node/web3?expected={version_of(enrolment('web3', WEB1_KEY))}"
    assert (await running.ask_as("web3", POLL, key=WEB1_KEY)).status == 200
    assert (await running.read(deleted, "DELETE")).status == 200
    assert (await running.ask_as("web1", POLL)).status == 200
    assert (await running.ask_as("web3", POLL, key=WEB1_KEY)).status == 401


@pytest.mark.parametrize(
    "key",
    ["report/web1", "bundle/www", "wrap/web2/www", "node/web2", "publication/jti-000000000000", "heartbeat/issuer"],
)
async def test_node_may_not_write_what_is_not_its_own(running: RunningRelay, key: str) -> None:
    for by in (WEB2_KEY, FLEET_KEY):
        problem_of(await running.ask_as("web2", f"{RECORDS}/{key}", "PUT", signed(key, by=by)), 403, "forbidden")
    assert (await running.read(f"{RECORDS}/{key}")).json()["record"] is None or key == "node/web2"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", f"{RECORDS}/report/web2", "GET, PUT"),
        ("POST", f"{RECORDS}/report/web2", "GET, PUT"),
        ("PUT", RECORDS, "GET, POST"),
        ("DELETE", POLL, "GET, POST"),
    ],
)
async def test_node_can_neither_delete_nor_use_other_methods(
    running: RunningRelay, method: str, path: str, allowed: str
) -> None:
    reply = await running.ask_as("web2", path, method, b"")
    problem_of(reply, 405, "method-not-allowed")
    assert reply.headers["Allow"] == allowed


@pytest.mark.parametrize(
    "path", ["/", "/v1/status", "/metrics", "/healthz", "/v1/lease", "/v1/records/", "/v1/recordsx"]
)
async def test_issuers_paths_are_not_there_for_nodes(running: RunningRelay, path: str) -> None:
    assert (await running.ask_as("web2", path)).status in {400, 404}


async def test_report_must_be_signed_by_its_node(running: RunningRelay) -> None:
    path = f"{RECORDS}/report/web2"
    for by in (WEB1_KEY, FLEET_KEY, STRANGER_KEY):
        problem_of(await running.ask_as("web2", path, "PUT", signed("report/web2", by=by)), 401, "unknown-key")
    assert (await running.ask_as("web2", path, "PUT", signed("report/web2", by=WEB2_KEY))).status == 200


async def test_older_report_does_not_replace_a_newer_one(running: RunningRelay) -> None:
    path, new = f"{RECORDS}/report/web2", signed("report/web2", 7, by=WEB2_KEY)
    assert (await running.ask_as("web2", path, "PUT", new)).status == 200
    for number, more in ((6, 0), (7, 1)):
        other = signed("report/web2", number, by=WEB2_KEY, seconds=601 + more)
        reply = await running.ask_as("web2", f"{path}?expected={version_of(new)}", "PUT", other)
        assert "has had number 7" in problem_of(reply, 412, "conflict")["detail"]
    assert version(await running.ask_as("web2", path, "PUT", new)) == version_of(new)


async def test_node_offers_the_manifest_that_the_relay_lacks(running: RunningRelay) -> None:
    path = f"{RECORDS}/manifest/fleet"
    old, new = signed("manifest/fleet", 8), signed("manifest/fleet", 9)
    assert (await running.feed("manifest/fleet", old)).status == 200
    assert (await running.ask_as("web2", f"{path}?expected={version_of(old)}", "PUT", new)).status == 200
    problem_of(await running.ask_as("web1", f"{path}?expected={version_of(new)}", "PUT", old), 412, "conflict")
    forged = signed("manifest/fleet", 10, by=WEB1_KEY)
    problem_of(await running.ask_as("web1", f"{path}?expected={version_of(new)}", "PUT", forged), 401, "unknown-key")
    # The issuer knows what it does, for example after it was restored.
    assert (await running.feed("manifest/fleet", old, f"?expected={version_of(new)}")).status == 200


async def test_report_under_another_key_is_refused(running: RunningRelay) -> None:
    other = signed("report/web1", by=WEB2_KEY)
    problem_of(await running.ask_as("web2", f"{RECORDS}/report/web2", "PUT", other), 400, "malformed")


async def test_one_node_cannot_keep_the_relay_busy(running: RunningRelay) -> None:
    path = f"{RECORDS}/report/web2"
    forged = signed("report/web2", by=WEB2_KEY)[:-4] + b"AAAA"
    replies = [await running.ask_as("web2", path, "PUT", forged) for _ in range(2 * NODES_CHECKS + 1)]
    assert [reply.status for reply in replies] == [401] * (2 * NODES_CHECKS) + [429]
    assert replies[-1].headers["Retry-After"] == "1"
    assert (
        await running.ask_as("web1", f"{RECORDS}/report/web1", "PUT", signed("report/web1", by=WEB1_KEY))
    ).status == 200
    running.clock.advance(1)
    assert (await running.ask_as("web2", path, "PUT", signed("report/web2", by=WEB2_KEY))).status == 200


async def test_forged_permits_are_checked_only_so_often(running: RunningRelay) -> None:
    valid = relay_wire.sign_permit("web1", running.clock.timestamp(), WEB1_KEY)
    forged = f"Bearer {valid[:-4]}AAAA"
    statuses = [(await ask_with(running, forged)).status for _ in range(2 * CHECKS_PER_PEER + 5)]
    assert statuses == [401] * (2 * CHECKS_PER_PEER) + [429] * 5
    running.clock.advance(1)
    assert (await ask_with(running, f"Bearer {valid}")).status == 200


async def test_checked_permit_is_not_checked_again(running: RunningRelay) -> None:
    for _ in range(4 * CHECKS_PER_PEER):
        assert (await running.ask_as("web1", POLL)).status == 200


async def test_node_has_a_limited_number_of_open_requests(running: RunningRelay) -> None:
    first = (await running.ask_as("web2", POLL)).json()
    path = f"{POLL}&instance={first['instance']}&after={first['next']}&wait=60"
    polls = [asyncio.ensure_future(running.ask_as("web2", path)) for _ in range(MAX_REQUESTS)]
    await running.until_polls_wait(MAX_REQUESTS)
    problem_of(await running.ask_as("web2", POLL), 429, "busy")
    assert (await running.ask_as("web1", POLL)).status == 200
    await running.feed("bundle/www", signed())
    assert [reply.status for reply in await asyncio.gather(*polls)] == [200] * MAX_REQUESTS
    assert (await running.ask_as("web2", POLL)).status == 200


async def test_requests_that_arrive_together_are_counted_before_one_is_answered(running: RunningRelay) -> None:
    permit = running.permit("web2", WEB2_KEY)["Authorization"]
    request = f"GET {POLL} HTTP/1.1\r\nHost: x\r\nAuthorization: {permit}\r\n\r\n".encode()
    opened = [await connect(running.relay.node_addresses[0]) for _ in range(3 * MAX_REQUESTS)]

    async def status(reader: asyncio.StreamReader) -> int:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        await reader.readexactly(int(head.partition("Content-Length: ")[2].partition("\r\n")[0]))
        return int(head.split()[1])

    for _ in range(2):  # after the first, all of them are accepted
        for _, writer in opened:
            writer.write(request)
        statuses = [await status(reader) for reader, _ in opened]
    assert sorted(statuses) == [200] * MAX_REQUESTS + [429] * 2 * MAX_REQUESTS
    for _, writer in opened:
        writer.close()


async def test_body_of_a_stranger_is_not_read(running: RunningRelay) -> None:
    headers = media_type() | {"Content-Length": "4000000"}
    reply = await ask(running.relay.node_addresses[0], "PUT", f"{RECORDS}/manifest/fleet", headers, b"x")
    problem_of(reply, 401, "permit-required")


async def test_publishing_key_is_not_a_fleet_key(running: RunningRelay) -> None:
    message = records.sign(record("manifest/fleet"), KEY).encode()
    problem_of(await running.feed("manifest/fleet", message), 401, "unknown-key")
