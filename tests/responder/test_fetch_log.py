"""The fetch log under a flood: one line per fetch up to a rate, the rest counted."""

import logging
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.responder.conftest import Running
from tests.responder.messages import TOKEN, publication
from wellkeeper_responder.fetch_log import LINES_PER_SECOND, FetchLog
from wellkeeper_responder.fetches import FetchFields


def _fetch(status: int) -> FetchFields:
    return (1, 0.0, TOKEN, None, None, None, status, False)


def _reported(caplog: pytest.LogCaptureFixture) -> list[tuple[str, Any]]:
    """Return event and status or count of each record."""
    fields = [getattr(record, "fields", {}) for record in caplog.records]
    return [
        (record.getMessage(), one.get("status", one.get("count")))
        for record, one in zip(caplog.records, fields, strict=True)
    ]


@pytest.fixture(autouse=True)
def _everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_fetches_over_the_rate_are_counted_and_logged_with_the_next_line(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    log = FetchLog(clock)
    for _ in range(LINES_PER_SECOND + 7):
        log.write(200, _fetch(200))
    assert _reported(caplog) == [("fetch", 200)] * LINES_PER_SECOND
    clock.advance(1)
    log.write(200, _fetch(200))
    assert _reported(caplog)[LINES_PER_SECOND:] == [("fetches omitted from the log", 7), ("fetch", 200)]


def test_flood_of_misses_does_not_suppress_hits(caplog: pytest.LogCaptureFixture) -> None:
    log = FetchLog(FakeClock())
    for _ in range(LINES_PER_SECOND + 7):
        log.write(404, _fetch(404))
    log.write(200, _fetch(200))
    assert _reported(caplog)[-1] == ("fetch", 200)


def test_no_count_is_logged_when_every_fetch_was_logged(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    log = FetchLog(clock)
    log.write(200, _fetch(200))
    clock.advance(1)
    log.write(200, _fetch(200))
    log.close()
    assert _reported(caplog) == [("fetch", 200)] * 2


async def test_stopping_responder_logs_the_omitted_count(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    await running.publish(publication())
    for _ in range(LINES_PER_SECOND + 2):
        await running.get(TOKEN)
    await running.responder.stop()
    assert _reported(caplog)[-2:] == [("fetches omitted from the log", 2), ("stop", None)]
