"""The runner: order, time limits, bugs in checks, skipped checks, cancellation."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from tests.fakes import run_tasks_until
from tests.virtual_time import VirtualLoop
from wellkeeper_issuer.doctor.checks import Check, NotCheckedError
from wellkeeper_issuer.doctor.run_checks import NoWatcher, run_checks
from wellkeeper_issuer.errors import JournalError
from wellkeeper_node.findings import Finding, Verdict

_Run = Callable[[str], Awaitable[Sequence[Finding]]]


def check(name: str, run: _Run, *, needs_network: bool = False, seconds: float = 30.0) -> Check[str]:
    return Check((name, f"{name}-more"), run, needs_network=needs_network, seconds=seconds)


def finding(name: str, cause: str, verdict: Verdict = Verdict.OK) -> Finding:
    return Finding(name, verdict, "", cause)


async def good(context: str) -> Sequence[Finding]:
    return [finding("good", f"fine at {context}"), finding("good-more", "fine, too")]


async def hanging(_: str) -> Sequence[Finding]:
    await asyncio.Event().wait()
    return []


async def raising(_: str) -> Sequence[Finding]:
    raise ValueError("impossible")


async def with_own_timeout(_: str) -> Sequence[Finding]:
    raise TimeoutError("of its own")


async def not_checked(_: str) -> Sequence[Finding]:
    raise NotCheckedError("nginx is missing")


async def unreadable(_: str) -> Sequence[Finding]:
    raise JournalError("cannot read state.db", "Permission denied", "Run it as root.")


def results(*checks: Check[str], is_offline: bool = False) -> list[Finding]:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(run_checks(checks, "this host", NoWatcher(), is_offline=is_offline))


def test_findings_come_in_the_order_of_the_checks() -> None:
    async def late(_: str) -> Sequence[Finding]:
        await asyncio.sleep(10)
        return [finding("late", "fine at last")]

    found = results(check("late", late), check("good", good))
    assert [one.cause for one in found] == ["fine at last", "fine at this host", "fine, too"]


def test_hanging_check_fails_after_its_time_and_the_others_still_run() -> None:
    found = results(check("hanging", hanging, seconds=7.5), check("good", good))
    assert found[0].check == "hanging"
    assert (found[0].verdict, found[0].cause) == (Verdict.FAIL, "no answer within 7.5 s")
    assert found[0].fix.startswith("Find out what hangs")
    assert found[1] == finding("hanging-more", "not checked: hanging explains it", Verdict.SKIPPED)
    assert [one.verdict for one in found[2:]] == [Verdict.OK, Verdict.OK]


@pytest.mark.parametrize(
    ("run", "cause"),
    [
        (raising, "internal error: ValueError('impossible')"),
        (with_own_timeout, "internal error: TimeoutError('of its own')"),
    ],
    ids=["error", "time-out of its own"],
)
def test_bug_in_a_check_is_its_finding_with_the_place_and_the_others_still_run(run: _Run, cause: str) -> None:
    found = results(check("broken", run), check("good", good))
    assert (found[0].check, found[0].verdict, found[0].cause) == ("broken", Verdict.FAIL, cause)
    assert "This is a bug in Wellkeeper." in found[0].fix
    path, _, line = found[0].place.rpartition(":")
    assert (path, line.isdigit()) == (__file__, True)
    assert found[1] == finding("broken-more", "not checked: broken explains it", Verdict.SKIPPED)
    assert found[2].verdict is Verdict.OK


def test_each_id_of_a_check_that_cannot_run_is_skipped_with_the_reason() -> None:
    assert results(check("skipped", not_checked)) == [
        finding("skipped", "nginx is missing", Verdict.SKIPPED),
        finding("skipped-more", "nginx is missing", Verdict.SKIPPED),
    ]


def test_error_that_leaves_a_check_is_its_failure_in_the_errors_own_words() -> None:
    assert results(check("broken", unreadable)) == [
        Finding("broken", Verdict.FAIL, "", "cannot read state.db: Permission denied", "Run it as root."),
        finding("broken-more", "not checked: broken explains it", Verdict.SKIPPED),
    ]


def test_offline_skips_exactly_the_checks_that_need_the_network() -> None:
    found = results(check("far", hanging, needs_network=True), check("good", good), is_offline=True)
    reason = "it needs the network, and this run is offline"
    assert found[:2] == [finding(name, reason, Verdict.SKIPPED) for name in ("far", "far-more")]
    assert [one.check for one in found[2:]] == ["good", "good-more"]


async def test_checks_run_beside_each_other_up_to_eight() -> None:
    running, free = set[str](), asyncio.Event()

    def waiting(name: str) -> _Run:
        async def run(_: str) -> Sequence[Finding]:
            running.add(name)
            await free.wait()
            return [finding(name, "fine")]

        return run

    checks = [check(f"c{number}", waiting(f"c{number}")) for number in range(10)]
    task = asyncio.create_task(run_checks(checks, "", NoWatcher()))
    await run_tasks_until(lambda: len(running) == 8)
    free.set()
    assert [one.check for one in await task] == [f"c{number}" for number in range(10)]


async def test_watcher_sees_the_start_and_the_end_of_each_check() -> None:
    class Watcher:
        def __init__(self) -> None:
            self.seen: list[tuple[str, str]] = []

        def started(self, check: str) -> None:
            self.seen.append(("started", check))

        def ended(self, check: str) -> None:
            self.seen.append(("ended", check))

    watcher = Watcher()
    await run_checks([check("broken", raising)], "", watcher)
    assert watcher.seen == [("started", "broken"), ("ended", "broken")]


async def test_cancellation_ends_all_checks_at_once() -> None:
    ended = set[str]()

    def noted(name: str) -> _Run:
        async def run(_: str) -> Sequence[Finding]:
            try:
                await asyncio.Event().wait()
            finally:
                ended.add(name)
            return []

        return run

    task = asyncio.create_task(run_checks([check(name, noted(name)) for name in ("a", "b")], "", NoWatcher()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == {"a", "b"}
