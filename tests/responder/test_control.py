"""What issuers see: replies, refusals, the feed, and who may read."""

import asyncio
import gzip
from typing import Any

import pytest

from responder import wire
from responder.publication import Permit, sign_permit, sign_publication, sign_withdrawal
from tests.responder.conftest import Running
from tests.responder.http import Reply, ask, ask_until, connect, parse
from tests.responder.messages import (
    JTI,
    KEY,
    NOW,
    OTHER_KEY,
    OTHER_THUMBPRINT,
    OTHER_TOKEN,
    THUMBPRINT,
    TOKEN,
    claims,
    header,
    publication,
    signed,
    withdrawal,
)

_MESSAGE = sign_publication(publication(), KEY)


def _problem(reply: Reply, status: int, name: str) -> dict[str, Any]:
    assert (reply.status, reply.headers["Content-Type"]) == (status, "application/problem+json")
    problem: dict[str, Any] = reply.json()
    assert problem["type"] == f"urn:wellkeeper:problem:{name}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


async def _until_polls_wait(running: Running, count: int) -> None:
    await ask_until(
        running.control, wire.STATUS_PATH, lambda reply: bool(reply.json()["counts"]["waiting_polls"] == count)
    )


async def test_publishing_creates_and_tells_when_it_ends(running: Running) -> None:
    reply = await running.put(TOKEN, _MESSAGE)
    assert (reply.status, reply.headers["Content-Type"]) == (201, "application/json")
    assert reply.json() == {
        "instance_id": running.responder.instance_id,
        "expires_in_seconds": 600,
        "clock": NOW,
    }


async def test_publishing_again_changes_nothing(running: Running) -> None:
    await running.put(TOKEN, _MESSAGE)
    running.clock.advance(10)
    reply = await running.put(TOKEN, _MESSAGE)
    assert (reply.status, reply.json()["expires_in_seconds"]) == (200, 590)


@pytest.mark.parametrize(("seconds", "words"), [(61, "61 s behind"), (-61, "61 s ahead of")])
async def test_clocks_over_a_minute_apart_are_warned_about(running: Running, seconds: int, words: str) -> None:
    running.clock.step(seconds)
    reply = await running.put(TOKEN, _MESSAGE)
    assert reply.status == 201
    assert words in reply.json()["warning"]


@pytest.mark.parametrize("seconds", [60, -60])
async def test_clocks_a_minute_apart_are_fine(running: Running, seconds: int) -> None:
    running.clock.step(seconds)
    assert "warning" not in (await running.put(TOKEN, _MESSAGE)).json()


async def test_withdrawal_ends_the_publication(running: Running) -> None:
    await running.put(TOKEN, _MESSAGE)
    reply = await running.put(TOKEN, sign_withdrawal(withdrawal(), KEY), "DELETE")
    assert (reply.status, reply.body) == (204, b"")
    assert (await running.get(TOKEN)).status == 404
    _problem(await running.put(TOKEN, _MESSAGE), 409, "ended")


async def test_withdrawal_of_what_is_unknown_is_no_error(running: Running) -> None:
    assert (await running.put(TOKEN, sign_withdrawal(withdrawal(), KEY), "DELETE")).status == 204


async def test_second_key_publishes_and_withdraws_too(running: Running) -> None:
    assert (await running.put(TOKEN, sign_publication(publication(), OTHER_KEY))).status == 201
    assert (await running.put(TOKEN, sign_withdrawal(withdrawal(JTI), KEY), "DELETE")).status == 204


async def test_forged_signature_is_told_with_the_responders_time(running: Running) -> None:
    reply = await running.put(TOKEN, signed(header(), claims(), OTHER_KEY))
    assert _problem(reply, 401, "bad-signature")["clock"] == NOW
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("seconds", "name"), [(-601, "clock"), (1201, "expired")])
async def test_clock_that_is_off_is_told_with_the_responders_time(running: Running, seconds: int, name: str) -> None:
    running.clock.step(seconds)
    problem = _problem(await running.put(TOKEN, _MESSAGE), 401, name)
    assert problem["clock"] == NOW + seconds
    assert "clock" in problem["detail"]


async def test_account_that_is_not_pinned_is_forbidden(running: Running) -> None:
    reply = await running.publish(publication(thumbprint=OTHER_THUMBPRINT))
    assert OTHER_THUMBPRINT in _problem(reply, 403, "not-pinned")["detail"]


async def test_withdrawal_is_no_publication_and_the_reverse(running: Running) -> None:
    _problem(await running.put(TOKEN, sign_withdrawal(withdrawal(), KEY)), 400, "malformed")
    _problem(await running.put(TOKEN, _MESSAGE, "DELETE"), 400, "malformed")


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_token_in_the_path_must_be_the_one_in_the_message(running: Running, method: str) -> None:
    message = _MESSAGE if method == "PUT" else sign_withdrawal(withdrawal(), KEY)
    _problem(await running.put(OTHER_TOKEN, message, method), 400, "malformed")
    assert (await running.get(OTHER_TOKEN)).status == 404


async def test_full_responder_says_so(running: Running) -> None:
    for number in range(4):
        await running.publish(publication(f"{number:043}", jti=f"{number:016}"))
    _problem(await running.put(TOKEN, _MESSAGE), 507, "full")


@pytest.mark.parametrize("size", [wire.MAX_MESSAGE_BYTES + 1, 100_000])
async def test_message_that_is_too_large_is_refused(running: Running, size: int) -> None:
    _problem(await running.put(TOKEN, "x" * size), 413, "too-large")


async def test_chunked_message_is_bounded_as_well(running: Running) -> None:
    headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE, "Transfer-Encoding": "chunked"}
    reader, writer = await connect(running.control)
    head = f"PUT /v1/tokens/{TOKEN} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write((head + lines + "\r\n").encode() + b"1000\r\n" + b"x" * 4096 + b"\r\n" + b"1\r\nx\r\n")
    reply = parse(await reader.read())
    writer.close()
    _problem(reply, 413, "too-large")


@pytest.mark.parametrize("media_type", [None, "application/json", "application/jose; charset=utf-8", "text/plain"])
async def test_other_media_types_are_refused(running: Running, media_type: str | None) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    reply = await ask(running.control, "PUT", wire.TOKENS_PREFIX + TOKEN, headers, _MESSAGE)
    _problem(reply, 415, "media-type")


async def test_compressed_message_is_not_unpacked(running: Running) -> None:
    headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE, "Content-Encoding": "gzip"}
    reply = await ask(running.control, "PUT", wire.TOKENS_PREFIX + TOKEN, headers, gzip.compress(_MESSAGE.encode()))
    _problem(reply, 400, "malformed")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/",
        "/v1/tokens",
        "/v1/tokens/",
        "/v1/tokens/short",
        f"/v1/tokens/{TOKEN}/",
        f"/v1/tokens/{TOKEN}?x=y",
        f"/v1/tokens/..%2f.well-known%2facme-challenge%2f{TOKEN}",
        f"/v1/tokens/../tokens/{TOKEN}",
        f"//v1/tokens/{TOKEN}",
        f"/V1/tokens/{TOKEN}",
        "/v1/status/",
        "/v1/../healthz",
        wire.CHALLENGE_PREFIX + TOKEN,
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_unknown_paths_are_not_found(running: Running, method: str, path: str) -> None:
    headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE}
    _problem(await ask(running.control, method, path, headers, _MESSAGE), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", wire.TOKENS_PREFIX + TOKEN, "PUT, DELETE"),
        ("POST", wire.TOKENS_PREFIX + TOKEN, "PUT, DELETE"),
        ("POST", wire.STATUS_PATH, "GET"),
        ("DELETE", wire.FETCHES_PATH, "GET"),
        ("PUT", wire.HEALTH_PATH, "GET"),
        ("POST", wire.METRICS_PATH, "GET"),
    ],
)
async def test_wrong_methods_are_told_the_right_ones(running: Running, method: str, path: str, allow: str) -> None:
    reply = await ask(running.control, method, path)
    _problem(reply, 405, "method-not-allowed")
    assert reply.headers["Allow"] == allow


async def test_feed_tells_who_fetched_what(running: Running) -> None:
    await running.put(TOKEN, _MESSAGE)
    await running.get(TOKEN)
    await running.get(OTHER_TOKEN)
    feed = (await running.read(wire.FETCHES_PATH + "?after=0")).json()
    assert (feed["instance_id"], feed["next"], feed["gap"]) == (running.responder.instance_id, 2, None)
    assert [(fetch["token"], fetch["status"]) for fetch in feed["fetches"]] == [(TOKEN, 200), (OTHER_TOKEN, 404)]
    feed = (await running.read(wire.FETCHES_PATH + "?after=2&wait=0")).json()
    assert (feed["next"], feed["fetches"]) == (2, [])


async def test_feed_has_an_explicit_gap_when_entries_were_lost(running: Running) -> None:
    path = wire.CHALLENGE_PREFIX + OTHER_TOKEN
    reader, writer = await connect(running.public)
    for _ in range(1030):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"no such token\n")
    writer.close()
    feed = (await running.read(wire.FETCHES_PATH + "?after=1")).json()
    assert feed["gap"] == {"lost": 5, "may_include_hits": False}
    assert feed["fetches"][0]["sequence"] == 7


async def test_long_poll_is_answered_by_the_next_fetch(running: Running) -> None:
    await running.put(TOKEN, _MESSAGE)
    poll = asyncio.create_task(running.read(wire.FETCHES_PATH + "?wait=60"))
    await _until_polls_wait(running, 1)
    await running.get(TOKEN)
    assert [fetch["token"] for fetch in (await poll).json()["fetches"]] == [TOKEN]


async def test_poll_whose_client_is_gone_frees_its_place(running: Running) -> None:
    _, writer = await connect(running.control)
    writer.write(b"GET /v1/fetches?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n")
    await _until_polls_wait(running, 1)
    writer.close()
    await _until_polls_wait(running, 0)


async def test_stop_answers_polls_at_once(running: Running) -> None:
    poll = asyncio.create_task(running.read(wire.FETCHES_PATH + "?wait=60"))
    await _until_polls_wait(running, 1)
    await running.responder.stop()
    assert (await poll).json()["fetches"] == []


@pytest.mark.parametrize(
    "query",
    [
        "after=x",
        "after=-1",
        "after=",
        "wait=61",
        "wait=1.5",
        "after=1&after=2",
        "since=1",
        "after=" + "9" * 16,
        "wait=%D9%A3",
    ],
)
async def test_bad_queries_are_malformed(running: Running, query: str) -> None:
    _problem(await running.read(f"{wire.FETCHES_PATH}?{query}"), 400, "malformed")


async def test_status_tells_pins_keys_counts_and_limits(running: Running) -> None:
    await running.put(TOKEN, _MESSAGE)
    running.clock.advance(5)
    status = (await running.read(wire.STATUS_PATH)).json()
    assert status["instance_id"] == running.responder.instance_id
    assert status["account_thumbprints"] == [THUMBPRINT]
    assert len(status["publishing_key_ids"]) == 2
    assert (status["started_at"], status["clock"]) == (NOW, NOW + 5)
    assert status["counts"] == {"tokens": 1, "publications_remembered": 1, "newest_fetch": 0, "waiting_polls": 0}
    assert status["limits"]["tokens"] == 4
    assert status["version"]


async def test_health_is_ok(running: Running) -> None:
    reply = await running.read(wire.HEALTH_PATH)
    assert (reply.status, reply.body) == (200, b"ok\n")


async def test_metrics_count_results(running: Running) -> None:
    await running.put(TOKEN, _MESSAGE)
    await running.put(TOKEN, _MESSAGE)
    await running.put(TOKEN, "x")
    await running.put(TOKEN, sign_withdrawal(withdrawal(), KEY), "DELETE")
    lines = (await running.read(wire.METRICS_PATH)).body.decode().splitlines()
    assert 'wellkeeper_publications_total{result="created"} 1.0' in lines
    assert 'wellkeeper_publications_total{result="unchanged"} 1.0' in lines
    assert 'wellkeeper_publications_total{result="malformed"} 1.0' in lines
    assert 'wellkeeper_withdrawals_total{result="ended"} 1.0' in lines
    assert "wellkeeper_tokens 0.0" in lines


@pytest.mark.parametrize("path", [wire.STATUS_PATH, wire.FETCHES_PATH])
async def test_reading_over_tcp_needs_a_permit(running: Running, path: str) -> None:
    address = running.control_over_tcp
    permit = sign_permit(Permit(NOW, NOW + 60), KEY)
    _problem(await ask(address, "GET", path), 401, "permit-required")
    _problem(await ask(address, "GET", path, {"Authorization": f"Basic {permit}"}), 401, "permit-required")
    _problem(await ask(address, "GET", path, {"Authorization": "Bearer "}), 400, "malformed")
    _problem(await ask(address, "GET", path, {"Authorization": f"Bearer {_MESSAGE}"}), 400, "malformed")
    assert (await ask(address, "GET", path, {"Authorization": f"Bearer {permit}"})).status == 200
    running.clock.advance(60 + wire.MAX_CLOCK_SKEW_SECONDS + 1)
    _problem(await ask(address, "GET", path, {"Authorization": f"Bearer {permit}"}), 401, "expired")


@pytest.mark.parametrize("path", [wire.HEALTH_PATH, wire.METRICS_PATH])
async def test_health_and_metrics_need_no_permit(running: Running, path: str) -> None:
    assert (await ask(running.control_over_tcp, "GET", path)).status == 200


async def test_publishing_over_tcp_needs_no_permit_but_its_signature(running: Running) -> None:
    headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE}
    path = wire.TOKENS_PREFIX + TOKEN
    assert (await ask(running.control_over_tcp, "PUT", path, headers, _MESSAGE)).status == 201


async def test_no_answer_of_control_may_be_stored(running: Running) -> None:
    for path in (wire.STATUS_PATH, wire.HEALTH_PATH, wire.METRICS_PATH, wire.FETCHES_PATH, "/nothing"):
        headers = (await running.read(path)).headers
        assert (headers["Cache-Control"], headers["Server"]) == ("no-store", "wellkeeper-responder")
