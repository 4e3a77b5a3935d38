"""The issuer's socket of a relay: what it stores and refuses, the lease, heartbeats, status, metrics."""

import asyncio
import stat

import pytest

from tests.relay.conftest import RECORDS, RunningRelay, media_type, settings, version
from tests.relay.messages import STRANGER_KEY, WEB1_KEY, enrolment, signed
from tests.responder.http import ask, connect, problem_of
from tests.responder.messages import NOW
from wellkeeper_client import wire
from wellkeeper_client.record_state import version_of
from wellkeeper_relay.app import Relay
from wellkeeper_relay.exchange import BODY_SECONDS
from wellkeeper_responder.listeners import ListenError
from wellkeeper_responder.settings import UnixAddress

LEASE = "/v1/lease"
BUNDLE = f"{RECORDS}/bundle/www"


async def test_stored_record_is_read_back(running: RunningRelay) -> None:
    message = signed()
    assert version(await running.feed("bundle/www", message)) == version_of(message)
    found = {"key": "bundle/www", "value": message.decode(), "expires_at": NOW + 600 + wire.MAX_CLOCK_SKEW_SECONDS}
    assert (await running.read(BUNDLE)).json() == {"record": found}
    page = (await running.read(f"{RECORDS}?kinds=bundle")).json()
    assert page["records"] == [found]
    assert (page["is_snapshot"], page["is_whole"], page["removed"]) == (True, True, [])


async def test_record_leaves_at_its_signed_end(running: RunningRelay) -> None:
    await running.feed("bundle/www", signed(seconds=10), f"?expires_at={NOW + 10_000}")
    running.clock.advance(10 + wire.MAX_CLOCK_SKEW_SECONDS)
    assert (await running.read(BUNDLE)).json() == {"record": None}


@pytest.mark.parametrize(
    ("message", "status", "name"),
    [
        pytest.param(b"", 400, "malformed", id="empty"),
        pytest.param(b"\x00" * 2000, 400, "malformed", id="binary"),
        pytest.param(signed(by=STRANGER_KEY), 401, "unknown-key", id="stranger"),
        pytest.param(signed()[:-4] + b"AAAA", 401, "bad-signature", id="forged"),
        pytest.param(signed("bundle/other"), 400, "malformed", id="other record"),
        pytest.param(signed("wrap/web1/www"), 400, "malformed", id="other kind"),
        pytest.param(signed(issued_at=1), 401, "expired", id="expired"),
        pytest.param(b"x" * (128 * 1024 + 1), 413, "too-large", id="large"),
    ],
)
async def test_other_messages_are_not_stored(running: RunningRelay, message: bytes, status: int, name: str) -> None:
    problem_of(await running.feed("bundle/www", message), status, name)
    assert (await running.read(BUNDLE)).json() == {"record": None}


@pytest.mark.parametrize("key", ["", "x", "bundle", "bundle/..", "secret/x", "bundle/a%2Fb", "wrap/web1"])
async def test_other_keys_are_refused(running: RunningRelay, key: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        reply = await ask(running.issuer, method, f"{RECORDS}/{key}", media_type(), signed())
        problem_of(reply, 400, "malformed")


@pytest.mark.parametrize(
    "path",
    [
        f"{RECORDS}",
        f"{RECORDS}?kinds=",
        f"{RECORDS}?kinds=bundle,secret",
        f"{RECORDS}?kinds=bundle&kinds=wrap",
        f"{RECORDS}?kinds=bundle&wait=61",
        f"{RECORDS}?kinds=bundle&after=-1",
        f"{RECORDS}?kinds=bundle&after=1e3",
        f"{RECORDS}?kinds=bundle&x=1",
        f"{RECORDS}?kinds=bundle&",
        f"{RECORDS}?{'kinds=bundle&' * 50}",
        f"{BUNDLE}?x=1",
        f"{BUNDLE}?",
    ],
)
async def test_other_queries_are_refused(running: RunningRelay, path: str) -> None:
    reply = await running.read(path)
    if path.endswith("www?"):
        assert reply.status == 200
    else:
        problem_of(reply, 400, "malformed")


async def test_number_of_changes_may_not_be_huge(running: RunningRelay) -> None:
    path = f"{RECORDS}?kinds=bundle&instance={running.relay.instance_id}&after={'9' * 15}"
    assert (await running.read(path)).json()["is_snapshot"]


async def test_deleting_needs_the_version(running: RunningRelay) -> None:
    await running.feed("bundle/www", signed())
    problem_of(await running.read(BUNDLE, "DELETE"), 400, "malformed")
    problem_of(await running.read(f"{BUNDLE}?expected=other", "DELETE"), 412, "conflict")
    assert (await running.read(f"{BUNDLE}?expected={version_of(signed())}", "DELETE")).status == 200


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        (RECORDS, "PUT", "GET"),
        (BUNDLE, "POST", "GET, PUT, DELETE"),
        (LEASE, "GET", "POST, PUT"),
        ("/metrics", "PUT", "GET"),
    ],
)
async def test_other_methods_are_refused(running: RunningRelay, path: str, method: str, allowed: str) -> None:
    reply = await running.read(path, method)
    problem_of(reply, 405, "method-not-allowed")
    assert reply.headers["Allow"] == allowed


async def test_path_that_is_not_there_is_named(running: RunningRelay) -> None:
    assert "/v1/records" in problem_of(await running.read("/v2/records"), 404, "not-found")["detail"]


async def test_body_needs_its_media_type(running: RunningRelay) -> None:
    reply = await ask(running.issuer, "PUT", BUNDLE, {"Content-Type": "text/plain"}, signed())
    problem_of(reply, 415, "media-type")


async def test_body_that_is_cut_short_is_not_stored(running: RunningRelay) -> None:
    _, writer = await connect(running.issuer)
    head = f"PUT {BUNDLE} HTTP/1.1\r\nHost: x\r\nContent-Type: {wire.MESSAGE_MEDIA_TYPE}\r\nContent-Length: 900\r\n\r\n"
    writer.write(head.encode() + signed()[:100])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await running.read(BUNDLE)).json() == {"record": None}


async def test_broken_chunks_are_refused(running: RunningRelay) -> None:
    reader, writer = await connect(running.issuer)
    head = f"PUT {BUNDLE} HTTP/1.1\r\nHost: x\r\nContent-Type: {wire.MESSAGE_MEDIA_TYPE}\r\n"
    writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode())
    assert b" 400 " in await reader.read(100)
    writer.close()


async def test_slow_body_is_given_up(running: RunningRelay) -> None:
    reader, writer = await connect(running.issuer)
    head = f"PUT {BUNDLE} HTTP/1.1\r\nHost: x\r\nContent-Type: {wire.MESSAGE_MEDIA_TYPE}\r\nContent-Length: 900\r\n\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(BODY_SECONDS + 60):
        assert b"408" in await reader.readline()
    writer.close()


async def test_nodes_record_needs_a_key(running: RunningRelay) -> None:
    problem_of(await running.feed("node/web3", signed("node/web3", signing_key="x")), 400, "malformed")
    assert (await running.read(f"{RECORDS}/node/web3")).json() == {"record": None}


async def test_enrolling_a_node_again_is_no_change(running: RunningRelay) -> None:
    assert (await running.feed("node/web1", enrolment("web1", WEB1_KEY))).status == 200
    assert await running.keys("web1", "node") == ["node/web1"]


async def test_full_relay_answers_507(running: RunningRelay) -> None:
    keys = [f"bundle/{number}" for number in range(14)]
    statuses = [(await running.feed(key, signed(key, text="x" * 60_000))).status for key in keys]
    assert (statuses[:6], statuses[-1]) == ([200] * 6, 507)


async def test_lease_is_given_to_one_holder(running: RunningRelay) -> None:
    lease = (await running.read(f"{LEASE}?holder=one&seconds=60", "POST")).json()["lease"]
    assert (await running.read(f"{LEASE}?holder=two&seconds=60", "POST")).json() == {"lease": None}
    assert (await running.read(f"{LEASE}?lease={lease}&seconds=60", "PUT")).json() == {"lease": lease}
    assert (await running.read(f"{LEASE}?lease=other&seconds=60", "PUT")).json() == {"lease": None}
    assert (await running.feed("bundle/www", signed(), f"?lease={lease}")).status == 200
    problem_of(await running.feed("bundle/a", signed("bundle/a"), "?lease=other"), 412, "lease-lost")
    problem_of(await running.read(f"{LEASE}?seconds=60", "POST"), 400, "malformed")
    problem_of(await running.read(f"{LEASE}?holder=one&seconds=3601", "POST"), 400, "malformed")


async def test_heartbeat_is_followed_and_reported(running: RunningRelay) -> None:
    assert (await running.read(wire.STATUS_PATH)).json()["heartbeat_age_seconds"] is None
    assert (await running.feed("heartbeat/issuer", signed("heartbeat/issuer"))).status == 200
    running.clock.advance(90)
    assert (await running.read(wire.STATUS_PATH)).json()["heartbeat_age_seconds"] == 90
    assert await running.metric("wellkeeper_relay_heartbeat_age_seconds") == 90
    assert running.lines == ["fed by the issuer: 3 records, 0 polls are waiting"]
    assert await running.keys("web1", "heartbeat") == ["heartbeat/issuer"]


async def test_status_and_metrics_count(running: RunningRelay) -> None:
    await running.feed("bundle/www", signed())
    await running.feed("bundle/www", signed(by=STRANGER_KEY))
    await running.ask_as("web1", "/")
    status = (await running.read(wire.STATUS_PATH)).json()
    assert (status["counts"]["records"], status["counts"]["waiting_polls"]) == (3, 0)
    assert status["instance_id"] == running.relay.instance_id
    assert 3 * 512 < status["counts"]["bytes"] == await running.metric("wellkeeper_relay_record_bytes")
    assert await running.metric("wellkeeper_relay_records") == 3
    assert await running.metric('wellkeeper_relay_stored_total{kind="node"}') == 2
    assert await running.metric('wellkeeper_relay_refused_total{listener="issuer",problem="unknown-key"}') == 1
    assert await running.metric('wellkeeper_relay_refused_total{listener="nodes",problem="not-found"}') == 1
    assert await running.metric('wellkeeper_relay_connections{listener="issuer"}') == 1
    assert (await running.read(wire.HEALTH_PATH)).body == b"ok\n"


async def test_stop_answers_waiting_polls(running: RunningRelay) -> None:
    path = f"{RECORDS}?kinds=bundle&instance={running.relay.instance_id}&after=3&wait=60"
    poll = asyncio.ensure_future(running.read(path))
    await running.until_polls_wait()
    await running.relay.stop()
    assert (await poll).json()["records"] == []
    await running.relay.stop()


async def test_issuers_socket_is_closed_to_others(running: RunningRelay) -> None:
    assert isinstance(running.issuer, UnixAddress)
    assert stat.S_IMODE(running.issuer.path.stat().st_mode) == 0o660


async def test_relay_listens_on_all_addresses_or_on_none(running: RunningRelay) -> None:
    (taken,) = running.relay.node_addresses
    other = running.issuer.path.with_name("other")
    other.mkdir()
    made = settings(other)
    with pytest.raises(ListenError, match=str(taken)):
        await Relay(type(made)(made.fleet_keys, (taken,), made.issuer), running.clock).start()
    assert not made.issuer.path.exists()
