"""Requests for unknown tokens wait for the publication: some ACME clients ask the CA before they publish."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.responder.conftest import Running, settings
from tests.responder.http import Reply, ask_until, connect
from tests.responder.messages import NOW, OTHER_TOKEN, THUMBPRINT, TOKEN, publication
from wellkeeper_client import wire
from wellkeeper_responder.app import Responder
from wellkeeper_responder.holds import MAX_HELD

_ANSWER = f"{TOKEN}.{THUMBPRINT}".encode()
_LONG = 60.0  # longer than any test: what ends earlier has another reason


@asynccontextmanager
async def _holding(folder: Path, seconds: float) -> AsyncIterator[Running]:
    clock = FakeClock()
    clock.step(NOW - clock.now().timestamp())
    async with Responder(replace(settings(folder), hold_unknown_seconds=seconds), clock) as responder:
        yield Running(responder, clock)


async def _until_held(running: Running, count: int) -> None:
    def is_so(reply: Reply) -> bool:
        return bool(reply.json()["counts"]["held_requests"] == count)

    await ask_until(running.control, wire.STATUS_PATH, is_so, seconds=30)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_held_requests_are_answered_by_the_publication(tmp_path: Path, method: str) -> None:
    async with _holding(tmp_path, _LONG) as running:
        asked = [asyncio.create_task(running.get(TOKEN, method=method)) for _ in range(3)]
        await _until_held(running, 3)
        await running.publish(publication())
        replies = [await one for one in asked]
        metrics = (await running.read(wire.METRICS_PATH)).body.decode()
    assert [one.status for one in replies] == [200] * 3
    assert {one.body for one in replies} == {_ANSWER if method == "GET" else b""}
    assert 'wellkeeper_held_requests_total{result="published"} 3.0' in metrics


async def test_other_publication_leaves_the_request_waiting_until_its_time_is_over(tmp_path: Path) -> None:
    async with _holding(tmp_path, 0.3) as running:
        asked = asyncio.create_task(running.get(OTHER_TOKEN))
        await _until_held(running, 1)
        await running.publish(publication())
        reply = await asked
        metrics = (await running.read(wire.METRICS_PATH)).body.decode()
    assert (reply.status, reply.body) == (404, wire.NO_SUCH_TOKEN.encode())
    assert 'wellkeeper_held_requests_total{result="unknown"} 1.0' in metrics


async def test_read_backs_other_paths_and_published_tokens_are_not_held(tmp_path: Path) -> None:
    async with _holding(tmp_path, _LONG) as running:
        await running.publish(publication())
        assert (await running.get(TOKEN)).status == 200
        assert (await running.get(OTHER_TOKEN, {wire.READ_BACK_HEADER: "1"})).status == 404
        assert (await running.get("short")).status == 404


async def test_nothing_is_held_by_default(running: Running) -> None:
    assert (await running.get(TOKEN)).status == 404
    assert (
        "result" not in (await running.read(wire.METRICS_PATH)).body.decode().partition("held_requests_total")[2][:20]
    )


async def test_more_than_the_limit_are_refused_at_once_and_one_that_leaves_makes_room(tmp_path: Path) -> None:
    async with _holding(tmp_path, _LONG) as running:
        writers = []
        for number in range(MAX_HELD):
            _, writer = await connect(running.public)
            path = f"{wire.CHALLENGE_PREFIX}{'x' * 30}{number}"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            writers.append(writer)
        await _until_held(running, MAX_HELD)
        assert (await running.get(TOKEN)).status == 404
        writers.pop().close()
        await _until_held(running, MAX_HELD - 1)
        asked = asyncio.create_task(running.get(TOKEN))
        await _until_held(running, MAX_HELD)
        metrics = (await running.read(wire.METRICS_PATH)).body.decode()
        await running.publish(publication())
        assert (await asked).status == 200
        for writer in writers:
            writer.close()
    assert 'wellkeeper_held_requests_total{result="full"} 1.0' in metrics
    assert 'wellkeeper_held_requests_total{result="left"} 1.0' in metrics


async def test_stop_answers_held_requests_at_once(tmp_path: Path) -> None:
    async with _holding(tmp_path, _LONG) as running:
        asked = asyncio.create_task(running.get(TOKEN))
        await _until_held(running, 1)
        await running.responder.stop()
        assert (await asked).status == 404
