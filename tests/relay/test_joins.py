"""Requests to join at a relay: only for an invite that the issuer put there, one at a time, and for strangers cheap."""

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.joins import INVITE, OTHER, WEB9, answer, record_of, request
from tests.relay.conftest import RECORDS, RunningRelay, media_type
from tests.relay.messages import signed
from tests.responder.http import Reply, ask, problem_of
from wellkeeper_client import joining, relay_wire
from wellkeeper_client.record_state import version_of
from wellkeeper_client.wire import WireError
from wellkeeper_relay.joins import MOST_WAITING, Joins
from wellkeeper_relay.keys import CHECKS_PER_PEER, Keys
from wellkeeper_relay.store import Store

PATH = f"{relay_wire.JOIN_PATH}/{INVITE.id}"
JSON = {"Content-Type": relay_wire.JOIN_MEDIA_TYPE}


async def invite(running: RunningRelay) -> None:
    assert (await running.feed(f"invite/{INVITE.id}", signed(f"invite/{INVITE.id}", seconds=3600))).status == 200


async def join(running: RunningRelay, body: bytes | None = None, path: str = PATH, /, **changes: str) -> Reply:
    content = request(**changes).to_bytes() if body is None else body
    return await ask(running.relay.node_addresses[0], "POST", path, JSON, content)


async def reusable_invite(running: RunningRelay) -> None:
    message = signed(f"invite/{INVITE.id}", seconds=3600, is_reusable=True)
    assert (await running.feed(f"invite/{INVITE.id}", message)).status == 200


async def joins(running: RunningRelay) -> list[str]:
    """Return the keys of the requests that the issuer sees."""
    found = (await running.read(f"{RECORDS}?kinds=join")).json()["records"]
    return sorted(one["key"] for one in found)


async def pending(running: RunningRelay) -> dict[str, Any] | None:
    found: dict[str, Any] | None = (await running.read(f"{RECORDS}/join/{INVITE.id}")).json()["record"]
    return found


async def started(running: RunningRelay, **changes: str) -> "asyncio.Task[Reply]":
    """Return a request that waits for its answer."""
    task = asyncio.create_task(join(running, **changes))
    await running.until_polls_wait()
    return task


async def test_request_reaches_the_issuer_and_the_answer_comes_back(running: RunningRelay) -> None:
    await invite(running)
    waiting = await started(running)
    found = await pending(running)
    assert found is not None
    assert found["value"].encode() == request().to_bytes()
    message = record_of(answer())
    await running.feed(f"answer/{INVITE.id}", message)
    reply = await waiting
    assert (reply.status, reply.json()["record"]["value"].encode()) == (200, message)
    assert (await join(running)).json()["record"]["value"].encode() == message


async def test_request_that_the_issuer_deleted_is_refused(running: RunningRelay) -> None:
    await invite(running)
    waiting = await started(running)
    expected = version_of(request().to_bytes())
    await running.read(f"{RECORDS}/join/{INVITE.id}?expected={expected}", "DELETE")
    problem_of(await waiting, 403, "refused")
    again = await started(running, signing_key=OTHER)
    again.cancel()


async def test_stop_of_the_relay_ends_a_request_without_an_answer(running: RunningRelay) -> None:
    await invite(running)
    waiting = await started(running)
    await running.relay.stop()
    assert (await waiting).json() == {"record": None}


async def test_same_node_may_ask_again_and_another_may_not(running: RunningRelay) -> None:
    await invite(running)
    waiting = await started(running)
    first, message = record_of(answer()), record_of(answer(request(nonce="B" * 22)))
    await running.feed(f"answer/{INVITE.id}", first)
    await waiting
    problem_of(await join(running, signing_key=OTHER), 403, "refused")
    later = await started(running, nonce="B" * 22)
    await running.feed(f"answer/{INVITE.id}", message, f"?expected={version_of(first)}")
    assert (await later).json()["record"]["value"].encode() == message


async def test_request_replaced_by_one_with_another_nonce_ends(running: RunningRelay) -> None:
    await invite(running)
    first = await started(running)
    second = asyncio.create_task(join(running, nonce="B" * 22))
    problem_of(await first, 403, "refused")
    await running.feed(f"answer/{INVITE.id}", record_of(answer(request(nonce="B" * 22))))
    assert (await second).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("POST", f"{relay_wire.JOIN_PATH}/{'x' * 22}", 401, "unknown-invite"),
        ("POST", f"{relay_wire.JOIN_PATH}/", 401, "unknown-invite"),
        ("GET", PATH, 405, "method-not-allowed"),
        ("POST", relay_wire.JOIN_PATH, 401, "permit-required"),
    ],
)
async def test_strangers_without_an_invite_are_refused(
    running: RunningRelay, method: str, path: str, status: int, name: str
) -> None:
    await invite(running)
    problem_of(await ask(running.relay.node_addresses[0], method, path, JSON, b"{}"), status, name)


async def test_expired_invite_is_unknown(running: RunningRelay) -> None:
    await invite(running)
    running.clock.step(3600 + 601)
    problem_of(await join(running), 401, "unknown-invite")


async def test_body_must_be_a_short_request(running: RunningRelay) -> None:
    await invite(running)
    problem_of(await join(running, b"{}"), 400, "malformed")
    problem_of(await join(running, b"x" * 5000), 413, "too-large")
    reply = await ask(running.relay.node_addresses[0], "POST", PATH, media_type(), request().to_bytes())
    problem_of(reply, 415, "media-type")
    assert await pending(running) is None


async def test_requests_of_one_peer_are_limited(running: RunningRelay) -> None:
    await invite(running)
    for _ in range(2 * CHECKS_PER_PEER):
        problem_of(await join(running, b"{}"), 400, "malformed")
    problem_of(await join(running), 429, "busy")


async def test_enrolled_node_sees_nothing_of_those_that_join(running: RunningRelay) -> None:
    await invite(running)
    (await started(running)).cancel()
    await running.feed(f"answer/{INVITE.id}", record_of(answer()))
    assert await running.keys("web1", "invite,join,answer,node") == ["node/web1"]


async def test_request_cannot_be_put_as_a_record(running: RunningRelay) -> None:
    reply = await running.feed(f"join/{INVITE.id}", request().to_bytes())
    problem_of(reply, 400, "malformed")
    problem_of(await running.feed(f"join/{INVITE.id}", signed(f"join/{INVITE.id}")), 401, "unknown-key")
    reply = await running.ask_as("web1", f"{RECORDS}/join/{INVITE.id}", "PUT", request().to_bytes())
    problem_of(reply, 403, "forbidden")


async def test_several_nodes_wait_with_a_reusable_invite_and_each_gets_its_own_answer(running: RunningRelay) -> None:
    await reusable_invite(running)
    tasks, names = [], [joining.exchange_of(INVITE.id, key) for key in (WEB9, OTHER)]
    for number, key in enumerate((WEB9, OTHER), 1):
        tasks.append(asyncio.create_task(join(running, signing_key=key)))
        await running.until_polls_wait(number)
    assert await joins(running) == sorted(f"join/{name}" for name in names)
    for key, name, task in zip((WEB9, OTHER), names, tasks, strict=True):
        message = record_of(answer(request(signing_key=key)), key=f"answer/{name}")
        await running.feed(f"answer/{name}", message)
        assert (await task).json()["record"]["value"].encode() == message
    assert await joins(running) == []


async def test_repeated_request_ends_the_wait_of_the_first_and_stays(running: RunningRelay) -> None:
    await reusable_invite(running)
    name, first = joining.exchange_of(INVITE.id, WEB9), await started(running)
    second = asyncio.create_task(join(running))
    assert (await first).json()["record"] is None
    assert await joins(running) == [f"join/{name}"]
    await running.feed(f"answer/{name}", record_of(answer(), key=f"answer/{name}"))
    assert (await second).json()["record"] is not None


async def test_refused_request_with_a_reusable_invite_ends_and_leaves_nothing(running: RunningRelay) -> None:
    await reusable_invite(running)
    waiting = await started(running)
    (key,) = await joins(running)
    await running.read(f"{RECORDS}/{key}?expected={version_of(request().to_bytes())}", "DELETE")
    problem_of(await waiting, 403, "refused")
    assert await joins(running) == []


def test_nodes_that_wait_with_the_same_invite_are_limited() -> None:
    clock = FakeClock()
    waiting = Joins(Store(clock, 1000), Keys([], clock))
    with ExitStack() as stack:
        for number in range(MOST_WAITING):
            stack.enter_context(waiting.slot(f"join/{INVITE.id}.{number}"))
        with pytest.raises(WireError, match="too much at once"):
            stack.enter_context(waiting.slot(f"join/{INVITE.id}.more"))
        stack.enter_context(waiting.slot(f"join/{INVITE.id}.0"))
        stack.enter_context(waiting.slot(f"join/{'o' * 22}.0"))
    with waiting.slot(f"join/{INVITE.id}.more"):
        pass
