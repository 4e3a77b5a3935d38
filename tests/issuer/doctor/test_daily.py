"""The daemon's daily checks, with the virtual clock."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes_around import FakeNotifications
from tests.fakes_state import FakeNotes
from tests.virtual_time import VirtualClock, VirtualLoop
from wellkeeper_issuer.doctor.checks import Check, NotCheckedError
from wellkeeper_issuer.doctor.daily import DailyChecks
from wellkeeper_issuer.doctor.fleet import check_engine
from wellkeeper_issuer.doctor.run_checks import NoWatcher, run_checks
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.records import Notice
from wellkeeper_node.findings import Finding, Verdict

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, DAY = 3600.0, 24 * 3600.0
EMPTY = Finding("nginx-pid-file", Verdict.FAIL, "/run/nginx.pid", "it is empty", "Restart nginx.")
CLOCK = Finding("clock", Verdict.FAIL, "", "this host's clock says 2020-01-01", "Set it.")
WARNING = Finding("rehearsal", Verdict.WARN, "", "the last one is old", "Run 'wellkeeper rehearse'.")
SKIPPED = Finding("nginx-pid-file", Verdict.SKIPPED, "", "run it with sudo")


class Days:
    """Runs the checks with one result per day, `FakeNotes` and `FakeNotifications`."""

    def __init__(self) -> None:
        self.notes, self.notifications, self.clock = FakeNotes(), FakeNotifications(), VirtualClock(START)
        self.checked_at: list[datetime] = []
        self.results: list[Sequence[Finding]] = []

    async def examine(self) -> Sequence[Finding]:
        self.checked_at.append(self.clock.now())
        return self.results.pop(0)

    def pass_by(
        self,
        *results: Sequence[Finding],
        share: float = 0.0,
        examine: Callable[[], Awaitable[Sequence[Finding]]] | None = None,
    ) -> DailyChecks:
        """Start a daemon and let these days pass; `share` is the random number."""
        self.results = list(results)
        daily = DailyChecks(examine or self.examine, self.notes, lambda: self.notifications, self.clock, lambda: share)

        async def run() -> None:
            task = asyncio.create_task(daily.run())
            await asyncio.sleep(2 * HOUR + (len(results) - 1) * DAY)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(run())
        return daily

    @property
    def sent(self) -> list[str]:
        return self.notifications.details


@pytest.fixture
def days() -> Days:
    return Days()


@pytest.mark.parametrize(("share", "hours"), [(0.0, 1.0), (0.5, 1.5)])
def test_first_check_is_spread_over_the_second_hour_and_the_others_follow_daily(
    days: Days, share: float, hours: float
) -> None:
    days.pass_by([], [], [], share=share)
    first = START + timedelta(hours=hours)
    assert days.checked_at == [first + timedelta(days=number) for number in range(3)]


def test_failing_finding_is_kept_and_reported_once_in_log_and_notification(
    days: Days, caplog: pytest.LogCaptureFixture
) -> None:
    daily = days.pass_by([EMPTY, WARNING], [EMPTY], [EMPTY, CLOCK])
    assert list(daily.failing) == [EMPTY, CLOCK]
    assert days.sent == [
        "/run/nginx.pid: it is empty. Restart nginx.",
        "this host's clock says 2020-01-01. Set it.",
    ]
    assert days.notifications.reported == [(Notice.FINDING, ""), (Notice.FINDING, "")]
    errors = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert errors == [f"doctor: {text} (run 'wellkeeper doctor')" for text in days.sent]


def test_restarted_daemon_does_not_report_again(days: Days) -> None:
    days.pass_by([EMPTY])
    days.pass_by([EMPTY])
    assert len(days.sent) == 1


def test_finding_that_returns_is_reported_again(days: Days, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    daily = days.pass_by([EMPTY], [], [EMPTY], [])
    assert len(days.sent) == 2
    assert daily.failing == []
    assert caplog.messages.count("doctor: nginx-pid-file no longer fails") == 2


def test_skipped_check_may_still_fail(days: Days) -> None:
    days.pass_by([EMPTY], [SKIPPED], [EMPTY])
    assert len(days.sent) == 1


@pytest.mark.parametrize("whole", [Verdict.SKIPPED, Verdict.FAIL], ids=["skipped", "failed as a whole"])
def test_second_id_of_a_check_that_did_not_run_may_still_fail(
    days: Days, caplog: pytest.LogCaptureFixture, whole: Verdict
) -> None:
    caplog.set_level(logging.INFO)
    blocked = Finding("ca-blocks", Verdict.FAIL, "a.example", "paused", "Open the link.")
    group = ("ca-limits", "ca-blocks")

    async def examine() -> Sequence[Finding]:
        days.checked_at.append(days.clock.now())
        return await run_checks([Check(group, limits)], "", NoWatcher())

    async def limits(_: str) -> Sequence[Finding]:
        if len(days.checked_at) != 2:
            return [blocked]
        if whole is Verdict.SKIPPED:
            raise NotCheckedError("it needs root")
        raise JournalError("cannot read state.db")

    days.pass_by([], [], [], examine=examine)
    assert [text for text in days.sent if "paused" in text] == ["a.example: paused. Open the link."]
    assert "doctor: ca-blocks no longer fails" not in caplog.messages


def test_failure_of_one_subject_is_kept_while_its_check_fails_as_a_whole(
    days: Days, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    days.pass_by([EMPTY], [Finding("nginx-pid-file", Verdict.FAIL, "", "no answer within 600 s", "Find out.")], [EMPTY])
    assert [text for text in days.sent if "it is empty" in text] == ["/run/nginx.pid: it is empty. Restart nginx."]


def test_each_fault_of_the_engine_is_reported_once_also_after_it_was_away(
    days: Days, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    memory = Finding("memory", Verdict.FAIL, "", "maxmemory-policy is allkeys-lru", "Set it.")
    stranger = Finding("records", Verdict.FAIL, "", "another fleet uses the prefix", "Give each its own.")
    away = Finding("connection", Verdict.FAIL, "issuer", "cannot reach the engine", "Check the address.")
    lost = replace(away, check="server")
    results = iter([[memory], [memory, stranger], [away], [lost, stranger], [memory, stranger], []])

    async def examine() -> Sequence[Finding]:
        return await check_engine(next(results))

    days.pass_by(*[[]] * 5, examine=examine)
    assert days.sent == [
        "memory: maxmemory-policy is allkeys-lru. Set it.",
        "records: another fleet uses the prefix. Give each its own.",
        "cannot reach the engine. Check the address.",
    ]
    assert set(days.notes.notices) == {"doctor/engine/memory", "doctor/engine/records"}
    days.pass_by([], examine=examine)
    assert days.notes.notices == {}


def test_notification_that_was_not_delivered_is_sent_the_next_day(days: Days) -> None:
    days.notifications.is_away = True
    days.pass_by([EMPTY])
    assert days.notes.notices == {}
    days.notifications.is_away = False
    days.pass_by([EMPTY])
    assert len(days.sent) == 1


def test_notices_about_certificates_are_left_alone(days: Days, caplog: pytest.LogCaptureFixture) -> None:
    days.notes.notices = {"web": frozenset({Notice.FAILURE})}
    days.pass_by([])
    assert days.notes.notices == {"web": frozenset({Notice.FAILURE})}
    assert caplog.messages == []


def test_bug_in_a_check_does_not_end_the_checks(days: Days, caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> Sequence[Finding]:
        days.checked_at.append(days.clock.now())
        raise KeyError("x")

    days.pass_by([], [], examine=fail)
    assert len(days.checked_at) == 2
    assert caplog.messages == ["the daily checks failed: KeyError('x')"] * 2


def test_unwritable_state_does_not_end_the_checks(days: Days, caplog: pytest.LogCaptureFixture) -> None:
    class FailingNotes(FakeNotes):
        async def record_notice(self, lineage: str, notice: Notice) -> None:
            raise JournalError(f"cannot record {notice} of {lineage}", "disk I/O error")

    days.notes = FailingNotes()
    days.pass_by([EMPTY], [EMPTY])
    assert len(days.checked_at) == 2
    expected = "the daily checks failed: cannot record finding of doctor/nginx-pid-file//run/nginx.pid"
    assert f"{expected}: disk I/O error" in caplog.messages


def test_result_has_the_time_and_what_failed(days: Days) -> None:
    assert DailyChecks(days.examine, days.notes, lambda: days.notifications, days.clock, lambda: 0.0).to_json() == {
        "checked_at": None,
        "findings": [],
    }
    assert days.pass_by([EMPTY, WARNING]).to_json() == {
        "checked_at": "2026-03-01T13:00:00+00:00",
        "findings": [
            {
                "check": "nginx-pid-file",
                "verdict": "fail",
                "subject": "/run/nginx.pid",
                "cause": "it is empty",
                "fix": "Restart nginx.",
                "place": "",
            }
        ],
    }
