"""A responder without room: connections it refuses, and files it cannot open."""

import asyncio
import errno
import logging
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.responder.conftest import Running, settings
from tests.responder.http import ask, ask_until
from tests.responder.messages import KEY, NOW
from wellkeeper_client import wire
from wellkeeper_client.signing import Permit, sign_permit
from wellkeeper_responder.app import Responder
from wellkeeper_responder.capacity import Limits
from wellkeeper_responder.service import report_faults


async def test_connection_is_refused_and_counted_while_the_only_one_carries_a_signed_request(tmp_path: Path) -> None:
    clock = FakeClock()
    clock.step(NOW - clock.now().timestamp())
    signed = {"Authorization": f"Bearer {sign_permit(Permit(NOW, NOW + 60), KEY)}"}
    async with Responder(settings(tmp_path), clock, Limits(8, 1)) as responder:
        running = Running(responder, clock)
        poll = asyncio.create_task(ask(running.control_over_tcp, "GET", f"{wire.FETCHES_PATH}?wait=60", signed))
        await ask_until(running.control, wire.STATUS_PATH, lambda reply: reply.json()["counts"]["waiting_polls"] == 1)
        reply = await ask(running.control_over_tcp, "GET", wire.HEALTH_PATH)
        assert (reply.status, reply.headers["Connection"]) == (503, "close")
        metrics = (await running.read(wire.METRICS_PATH)).body.decode()
        assert 'wellkeeper_connections_refused_total{listener="control"} 1.0' in metrics
    assert (await poll).status == 200


async def test_files_that_cannot_be_opened_are_reported_once_and_other_faults_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    loop = asyncio.get_running_loop()
    report_faults(loop)
    for error in 3 * [OSError(errno.EMFILE, "Too many open files"), OSError(errno.EPERM, "odd"), ValueError("odd")]:
        loop.call_exception_handler({"message": "a fault", "exception": error})
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("cannot accept connections: Too many open files; raise the limit on open files") == 1
    assert len(messages) == 7
