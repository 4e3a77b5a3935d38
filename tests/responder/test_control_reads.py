"""Control reads of issuers: the feed of fetches, status, health, metrics, and permits."""

import asyncio

import pytest

from tests.metrics_page import documented, exported
from tests.responder.conftest import Running
from tests.responder.http import ask, ask_until, connect, problem_of
from tests.responder.messages import (
    KEY,
    NOW,
    OTHER_TOKEN,
    THUMBPRINT,
    TOKEN,
    publication,
    withdrawal,
)
from wellkeeper_client import wire
from wellkeeper_client.signing import Permit, sign_permit, sign_publication, sign_withdrawal

_MESSAGE = sign_publication(publication(), KEY)


async def _until_polls_wait(running: Running, count: int) -> None:
    await ask_until(
        running.control, wire.STATUS_PATH, lambda reply: bool(reply.json()["counts"]["waiting_polls"] == count)
    )


async def test_feed_lists_fetches_with_their_clients(running: Running) -> None:
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
    writer.write(1030 * f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    for _ in range(1030):
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


async def test_disconnected_client_frees_its_poll_slot(running: Running) -> None:
    _, writer = await connect(running.control)
    writer.write(b"GET /v1/fetches?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n")
    await _until_polls_wait(running, 1)
    writer.close()
    await _until_polls_wait(running, 0)


async def test_stopping_answers_polls_at_once(running: Running) -> None:
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
        "%61fter=1",
        "after=1&",
        "&after=1",
        "after=%31",
        "after",
    ],
)
async def test_bad_queries_are_malformed(running: Running, query: str) -> None:
    problem_of(await running.read(f"{wire.FETCHES_PATH}?{query}"), 400, "malformed")


async def test_status_shows_pins_keys_counts_and_limits(running: Running) -> None:
    await running.put(TOKEN, _MESSAGE)
    running.clock.advance(5)
    status = (await running.read(wire.STATUS_PATH)).json()
    assert status["instance_id"] == running.responder.instance_id
    assert status["account_thumbprints"] == [THUMBPRINT]
    assert len(status["publishing_key_ids"]) == 2
    assert (status["started_at"], status["clock"]) == (NOW, NOW + 5)
    assert status["counts"] == {
        "tokens": 1,
        "publications_remembered": 1,
        "newest_fetch": 0,
        "waiting_polls": 0,
        "held_requests": 0,
    }
    assert status["limits"]["tokens"] == 4
    assert status["version"]
    assert status["public_addresses"] == [str(one) for one in running.responder.public_addresses]


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


async def test_every_metric_is_explained(running: Running) -> None:
    text = (await running.read(wire.METRICS_PATH)).body.decode()
    assert exported(text) == documented("Metrics of the responder")


@pytest.mark.parametrize("path", [wire.STATUS_PATH, wire.FETCHES_PATH])
async def test_reading_over_tcp_needs_a_permit(running: Running, path: str) -> None:
    address = running.control_over_tcp
    permit = sign_permit(Permit(NOW, NOW + 60), KEY)
    problem_of(await ask(address, "GET", path), 401, "permit-required")
    problem_of(await ask(address, "GET", path, {"Authorization": f"Basic {permit}"}), 401, "permit-required")
    problem_of(await ask(address, "GET", path, {"Authorization": "Bearer "}), 400, "malformed")
    problem_of(await ask(address, "GET", path, {"Authorization": f"Bearer {_MESSAGE}"}), 400, "malformed")
    assert (await ask(address, "GET", path, {"Authorization": f"Bearer {permit}"})).status == 200
    running.clock.advance(60 + wire.MAX_CLOCK_SKEW_SECONDS + 1)
    problem_of(await ask(address, "GET", path, {"Authorization": f"Bearer {permit}"}), 401, "expired")


@pytest.mark.parametrize("path", [wire.HEALTH_PATH, wire.METRICS_PATH])
async def test_health_and_metrics_need_no_permit(running: Running, path: str) -> None:
    assert (await ask(running.control_over_tcp, "GET", path)).status == 200


async def test_publishing_over_tcp_needs_only_the_signature(running: Running) -> None:
    headers = {"Content-Type": wire.MESSAGE_MEDIA_TYPE}
    path = wire.TOKENS_PREFIX + TOKEN
    assert (await ask(running.control_over_tcp, "PUT", path, headers, _MESSAGE)).status == 201


async def test_control_answers_must_not_be_cached(running: Running) -> None:
    for path in (wire.STATUS_PATH, wire.HEALTH_PATH, wire.METRICS_PATH, wire.FETCHES_PATH, "/nothing"):
        headers = (await running.read(path)).headers
        assert (headers["Cache-Control"], headers["Server"]) == ("no-store", "wellkeeper-responder")


@pytest.mark.parametrize("listener", ["control", "control_over_tcp"])
async def test_active_publication_is_shown_so_that_another_process_can_withdraw_it(
    running: Running, listener: str
) -> None:
    permit = {"Authorization": f"Bearer {sign_permit(Permit(NOW, NOW + 60), KEY)}"}
    path = wire.TOKENS_PREFIX + TOKEN
    problem_of(await ask(getattr(running, listener), "GET", path, permit), 404, "not-found")
    await running.put(TOKEN, _MESSAGE)
    assert (await ask(getattr(running, listener), "GET", path, permit)).json() == {
        "instance_id": running.responder.instance_id,
        "jti": publication().jti,
        "thumbprint": THUMBPRINT,
        "identifier": "example.com",
    }


async def test_publication_is_shown_over_tcp_only_with_a_permit(running: Running) -> None:
    await running.put(TOKEN, _MESSAGE)
    reply = await ask(running.control_over_tcp, "GET", wire.TOKENS_PREFIX + TOKEN)
    problem_of(reply, 401, "permit-required")
