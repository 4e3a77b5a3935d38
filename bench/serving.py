"""Measurement: tokens served, directly and behind nginx, kept-alive and with a connection each."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figures import Goal, Plan, Result, Series, Tell, at_most, find, ratio_at_least
from bench.responder import cpu_seconds
from bench.serving_stand import Subject, running_subjects
from bench.wrk import CONNECTIONS, Mode, Run, wrk

NAME: Final = "serving"
_MODES: Final[tuple[Mode, ...]] = ("keep-alive", "close")
_NGINX: Final = (
    "Behind nginx: one worker, upstream connections kept; `challenge.conf` as shipped opens one for each request."
)
_P99_MS: Final = 10


@dataclass(frozen=True, slots=True)
class _Measured:
    """One run of wrk, with the CPU time of the answering process."""

    run: Run
    cpu_seconds: float


async def measure(plan: Plan, folder: Path, tell: Tell) -> Result:
    """Measure every subject in every round, one after another."""
    measured: dict[tuple[str, Mode], list[_Measured]] = defaultdict(list)
    async with running_subjects(folder, plan.token_count, tell) as subjects:
        for number in range(plan.rounds):
            tell(f"serving: round {number + 1} of {plan.rounds}")
            for mode in _MODES:
                for subject in subjects:
                    measured[subject.name, mode].append(await _measure_one(subject, mode, plan.wrk_seconds))
    series = [one for (name, mode), runs in measured.items() for one in _series(name, mode, runs)]
    return Result(NAME, "Serving tokens", tuple(series), tuple(_goals(series)), _notes(plan, measured))


async def _measure_one(subject: Subject, mode: Mode, seconds: int) -> _Measured:
    before = cpu_seconds(subject.server.pid)
    run = await wrk(subject.address, subject.paths, mode, seconds)
    return _Measured(run, cpu_seconds(subject.server.pid) - before)


def _series(name: str, mode: Mode, measured: Sequence[_Measured]) -> list[Series]:
    runs = [one.run for one in measured]
    per_request = [one.cpu_seconds / one.run.requests * 1e6 for one in measured]
    return [
        Series(f"requests, {mode}", name, "/s", tuple(run.requests_per_second for run in runs)),
        Series(f"p99, {mode}", name, "ms", tuple(run.p99_ms for run in runs)),
        Series(f"CPU of the server per request, {mode}", name, "µs", tuple(per_request)),
        Series(f"errors, {mode}", name, "", tuple(float(run.errors) for run in runs)),
    ]


def _goals(series: Sequence[Series]) -> list[Goal]:
    goals = []
    for mode, share, times in (("keep-alive", 0.8, 5.0), ("close", 0.85, 1.5)):
        requests = f"requests, {mode}"
        direct, behind = find(series, requests, "responder"), find(series, requests, "nginx → responder")
        goals += [
            ratio_at_least(direct, find(series, requests, "bare aiohttp"), share),
            ratio_at_least(direct, find(series, requests, "certbot's standalone"), times),
            ratio_at_least(behind, find(series, requests, "nginx → bare aiohttp"), 0.85),
        ]
    for mode in _MODES:
        goals += [at_most(find(series, f"p99, {mode}", "responder"), _P99_MS)]
        goals += [_no_errors(series, mode)]
    return goals


def _no_errors(series: Sequence[Series], mode: Mode) -> Goal:
    """Compare the sum of all rounds with 0: a median would hide errors."""
    ours = [find(series, f"errors, {mode}", name) for name in ("responder", "nginx → responder")]
    found = sum(sum(one.values) for one in ours)
    return Goal(f"errors, {mode}: responder", "0", found, found == 0)


def _notes(plan: Plan, measured: dict[tuple[str, Mode], list[_Measured]]) -> tuple[str, ...]:
    count = sum(one.run.requests for runs in measured.values() for one in runs)
    how = (
        f"{plan.token_count} tokens held by the responder and requested in turn, one by standalone and as a file; "
        f"wrk with one thread and {CONNECTIONS} connections, {plan.wrk_seconds} s a run; {count} requests altogether."
    )
    return (how, _NGINX)
