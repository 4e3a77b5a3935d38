"""The heartbeat: a call after each check that found no problem. In simulated time."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.virtual_time import VirtualClock, VirtualLoop
from wellkeeper_issuer.errors import HookError
from wellkeeper_issuer.upkeep.heartbeat import Heartbeat

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
AWAY = HookError("cannot call the heartbeat URL at hc.example", "Connection refused")


class FakePulse:
    """Implements `Pulse`, every ten minutes; `errors` are raised first."""

    def __init__(self, clock: VirtualClock) -> None:
        self.every_seconds = 600.0
        self.clock = clock
        self.called: list[timedelta] = []
        self.errors: list[Exception] = []

    async def call(self) -> None:
        self.called.append(self.clock.now() - START)
        if self.errors:
            raise self.errors.pop(0)


class Hour:
    """An hour of a daemon: what each check finds, the heartbeat, and its calls."""

    def __init__(self, *found: bool | Exception, errors: Sequence[Exception] = (), has_url: bool = True) -> None:
        self.clock = VirtualClock(START)
        self.pulse, self.found = FakePulse(self.clock), list(found)
        self.pulse.errors = list(errors)
        self.heartbeat = Heartbeat(lambda: self.pulse if has_url else None, self.is_well, self.clock)
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(self.run())

    async def is_well(self) -> bool:
        found = self.found.pop(0) if self.found else True
        if isinstance(found, Exception):
            raise found
        return found

    async def run(self) -> None:
        task = asyncio.create_task(self.heartbeat.run())
        await asyncio.sleep(3600)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


def minutes(hour: Hour) -> list[int]:
    return [int(one.total_seconds() // 60) for one in hour.pulse.called]


def test_url_is_called_after_each_check_that_found_everything_well() -> None:
    hour = Hour(True, False, True)
    assert minutes(hour) == [1, 21, 31, 41, 51]
    assert hour.heartbeat.to_json() == {
        "called_at": "2026-03-01T12:51:00+00:00",
        "failing_since": None,
        "error": None,
    }


def test_check_that_fails_is_logged_and_calls_nothing(caplog: pytest.LogCaptureFixture) -> None:
    assert minutes(Hour(OSError("no file"), AWAY)) == [21, 31, 41, 51]
    assert caplog.messages == ["heartbeat: OSError('no file')", f"heartbeat: {AWAY}"]


def test_failed_calls_are_shown_until_one_succeeds() -> None:
    hour = Hour(errors=[AWAY] * 6)
    assert hour.heartbeat.to_json() == {
        "called_at": None,
        "failing_since": "2026-03-01T12:01:00+00:00",
        "error": str(AWAY),
    }
    later = Hour(errors=[AWAY] * 5)
    assert later.heartbeat.to_json() == {
        "called_at": "2026-03-01T12:51:00+00:00",
        "failing_since": None,
        "error": None,
    }


def test_without_a_url_nothing_is_checked() -> None:
    hour = Hour(has_url=False)
    assert (hour.pulse.called, hour.heartbeat.to_json()) == ([], None)
