"""The daemon's loop in simulated time: scheduling and error handling."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes_deliver import dns
from tests.fakes_ownership import FakeHeld
from tests.virtual_time import VirtualClock, VirtualLoop
from wellkeeper_issuer.daemon import Daemon
from wellkeeper_issuer.errors import JournalError, OrderError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.reports import Mode, Outcome, Report
from wellkeeper_node.errors import InstallError

START = datetime(2027, 1, 15, 12, tzinfo=UTC)
HOUR = 3600.0
A, B, C = (Lineage(name, (dns(f"{name}.example"),)) for name in "abc")


class Work:
    """Passes that take a second each; `next_at` has the next due time per lineage, `done` seconds, names and modes."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.next_at: dict[str, datetime] = {}
        self.every = timedelta(hours=6)
        self.done: list[tuple[int, str, Mode]] = []
        self.ended = 0
        self.seconds = 1.0
        self.failing: Callable[[], Exception | None] = lambda: None
        self.unreadable = 0
        self.report: Report | None = None
        self.lost: set[str] = set()
        self.looked: list[int] = []
        self.held = FakeHeld()

    async def run(self, lineages: Sequence[Lineage], mode: Mode) -> list[Report]:
        self.done += [(round(self.clock.monotonic()), one.name, mode) for one in lineages]
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.ended += 1
        error = self.failing()
        if error:
            raise error
        for one in lineages:
            self.next_at[one.name] = self.clock.now() + self.every
        return [self.report or Report(one.name, Outcome.SERVED, "due") for one in lineages]

    def slot(self, name: str) -> AbstractAsyncContextManager[None]:
        raise ValueError(f"the daemon must not take the slot of {name}")

    async def wake_times(self, lineages: Sequence[Lineage]) -> Mapping[str, datetime]:
        if self.unreadable:
            self.unreadable -= 1
            raise JournalError("state.db: disk I/O error")
        return {one.name: self.next_at.get(one.name, self.clock.now()) for one in lineages}

    async def find_changed(self, lineages: Sequence[Lineage]) -> list[str]:
        self.looked.append(round(self.clock.monotonic()))
        if self.unreadable:
            raise InstallError("cannot use live/")
        return [one.name for one in lineages if one.name in self.lost]

    def times(self, name: str) -> list[int]:
        return [at for at, who, _ in self.done if who == name]


def make_daemon(work: Work, lineages: Sequence[Lineage]) -> Daemon:
    return Daemon(work, work.wake_times, work.clock, lineages, held=work.held, find_changed=work.find_changed)


def simulate(scene: Callable[[Work, Callable[..., Daemon]], Coroutine[Any, Any, None]]) -> None:
    async def begin() -> None:
        work = Work(VirtualClock(START))
        await scene(work, lambda *lineages: make_daemon(work, lineages))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(begin())


async def live(daemon: Daemon, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await daemon.run()


def test_each_certificate_is_processed_at_its_time() -> None:
    async def scene(work: Work, make: Callable[..., Daemon]) -> None:
        work.next_at["b"] = START + timedelta(hours=1)
        await live(make(A, B), 13.5 * HOUR)
        assert work.times("a") == [0, 21_601, 43_202]
        assert work.times("b") == [3_600, 25_201, 46_802]
        assert {mode for _, _, mode in work.done} == {Mode.SCHEDULED}

    simulate(scene)


def test_no_pass_runs_before_a_certificate_is_due() -> None:
    async def scene(work: Work, make: Callable[..., Daemon]) -> None:
        work.next_at["a"] = START + timedelta(days=3)
        await live(make(A), 24 * HOUR)
        assert work.done == []

    simulate(scene)


def test_certificate_that_is_lost_is_worked_on_within_a_minute() -> None:
    async def scene(work: Work, make: Callable[..., Daemon]) -> None:
        for name in "ab":
            work.next_at[name] = START + timedelta(days=3)
        running = asyncio.create_task(live(make(A, B), 2 * HOUR))
        await asyncio.sleep(HOUR)
        work.lost = {"a"}
        del work.next_at["a"]
        await asyncio.sleep(61)
        assert work.times("a") != []
        work.lost = set()
        await running
        assert len(work.times("a")) == 1
        assert work.times("b") == []
        assert all(later - earlier >= 60 for earlier, later in zip(work.looked, work.looked[1:], strict=False))

    simulate(scene)


def test_reload_looks_for_lost_certificates_at_once() -> None:
    async def scene(work: Work, make: Callable[..., Daemon]) -> None:
        work.next_at["a"] = START + timedelta(days=3)
        daemon = make(A)
        running = asyncio.create_task(live(daemon, HOUR))
        await asyncio.sleep(70)
        daemon.replace([A])
        await asyncio.sleep(10)
        await running
        assert 70 in work.looked

    simulate(scene)


def test_live_folder_that_cannot_be_read_is_logged_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(work: Work, make: Callable[..., Daemon]) -> None:
        work.unreadable = 2
        await live(make(A), 300)
        assert work.times("a") != []

    simulate(scene)
    assert "cannot use live/" in caplog.text


def test_state_errors_are_retried_and_do_not_end_the_daemon(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(work: Work, make: Callable[..., Daemon]) -> None:
        errors = [JournalError("state.db: no space"), OrderError("an order"), None]
        work.failing = lambda: errors.pop(0) if errors else None
        work.unreadable = 1
        await live(make(A), 300)
        assert len(work.times("a")) == 3
        assert all(later - earlier >= 30 for earlier, later in zip(work.times("a"), work.times("a")[1:], strict=False))

    simulate(scene)
    assert "state.db: no space" in caplog.text
    assert "state.db: disk I/O error" in caplog.text


@pytest.mark.parametrize(("seconds", "expected"), [(2, 2), (10, 10), (3600, 31)], ids=["at once", "soon", "late"])
def test_waiting_certificate_is_checked_when_it_says_or_after_half_a_minute(seconds: int, expected: int) -> None:
    async def scene(work: Work, make: Callable[..., Daemon]) -> None:
        work.every = timedelta()
        work.report = Report("a", Outcome.WAITING, "due", next_try_at=START + timedelta(seconds=seconds))
        await live(make(A), 35)
        assert work.times("a")[:2] == [0, expected]

    simulate(scene)


def test_new_certificates_start_at_once_and_removed_ones_stop() -> None:
    async def scene(work: Work, make: Callable[..., Daemon]) -> None:
        daemon = make(A, B)
        running = asyncio.create_task(live(daemon, 24 * HOUR))
        await asyncio.sleep(HOUR)
        daemon.replace([B, C])
        await running
        assert work.times("a") == [0]
        assert work.times("c")[0] == HOUR
        assert len(work.times("b")) == 4

    simulate(scene)


def test_requested_work_runs_concurrently_and_counts_as_a_pass() -> None:
    async def scene(work: Work, make: Callable[..., Daemon]) -> None:
        daemon = make(A, B)
        running = asyncio.create_task(live(daemon, 5 * HOUR))
        await asyncio.sleep(2 * HOUR)
        reports = await daemon.work([A], Mode.FORCED)
        await running
        assert [report.lineage for report in reports] == ["a"]
        assert work.done[2:] == [(7200, "a", Mode.FORCED)]

    simulate(scene)


@pytest.mark.parametrize("step", [7 * HOUR, -7 * HOUR], ids=["forwards", "backwards"])
def test_wall_clock_change_is_noticed_within_a_minute(step: float) -> None:
    async def scene(work: Work, make: Callable[..., Daemon]) -> None:
        daemon = make(A)
        running = asyncio.create_task(live(daemon, 24 * HOUR))
        await asyncio.sleep(HOUR)
        work.clock.step(step)
        await asyncio.sleep(70)
        is_forwards = step > 0
        assert len(work.times("a")) == (2 if is_forwards else 1)
        await running
        # With the clock set back by seven hours, six hours from the start become thirteen.
        assert work.times("a")[1] <= (HOUR + 70 if is_forwards else 13.1 * HOUR)

    simulate(scene)


def test_shutdown_waits_for_the_running_pass() -> None:
    async def scene(work: Work, make: Callable[..., Daemon]) -> None:
        work.seconds = 1000.0
        await live(make(A, B), 10)
        assert (len(work.done), work.ended) == (2, 1)
        assert [task for task in asyncio.all_tasks() if "_scheduled" in repr(task)] == []

    simulate(scene)


@pytest.mark.parametrize(
    "report",
    [Report("a", Outcome.NOT_SERVED_YET, ""), Report("a", Outcome.FAILED, "", error=JournalError("no space"))],
    ids=["missing server block", "failure that could not be recorded"],
)
def test_certificate_that_is_always_due_is_retried_every_ten_minutes(report: Report) -> None:
    async def scene(work: Work, make: Callable[..., Daemon]) -> None:
        work.every, work.report = timedelta(), report
        await live(make(A), HOUR)
        assert work.times("a") == [0, 601, 1202, 1803, 2404, 3005]

    simulate(scene)


def test_certificates_due_shortly_after_one_another_share_a_pass() -> None:
    async def scene(work: Work, make: Callable[..., Daemon]) -> None:
        many = [Lineage(f"n{number}", (dns(f"n{number}.example"),)) for number in range(1000)]
        for number, one in enumerate(many):
            work.next_at[one.name] = START + timedelta(seconds=100 + number / 100)
        await live(make(*many), 200)
        assert len({at for at, _, _ in work.done}) <= 4
        assert len(work.done) == 1000

    simulate(scene)


def test_lost_state_ends_the_daemon_without_another_pass() -> None:
    async def scene(work: Work, make: Callable[..., Daemon]) -> None:
        running = asyncio.create_task(make(A).run())
        await asyncio.sleep(HOUR)
        assert work.held.extended > HOUR / 70
        work.held.why = "state.lock was deleted"
        with pytest.raises(JournalError, match=r"no longer owns the state: state\.lock was deleted"):
            await running
        assert work.times("a") == [0]

    simulate(scene)


def test_requested_work_is_refused_after_the_state_is_lost() -> None:
    async def scene(work: Work, make: Callable[..., Daemon]) -> None:
        daemon = make(A)
        running = asyncio.create_task(daemon.run())
        await asyncio.sleep(HOUR)
        work.held.why = "state.lock was deleted"
        with pytest.raises(JournalError, match="no longer owns the state"):
            await daemon.work([A], Mode.FORCED)
        with pytest.raises(JournalError, match="no longer owns the state"):
            async with asyncio.timeout(6):
                await running
        assert work.times("a") == [0]

    simulate(scene)
