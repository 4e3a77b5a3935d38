"""Automatic rehearsals: each certificate as often as the settings say, despite failures."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import pytest

from tests.fakes import FakeClock, run_tasks_until
from tests.fakes_deliver import dns
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.records import Notice, Rehearsal
from wellkeeper_issuer.rehearse import Rehearsing

HOUR = timedelta(hours=1)
LINEAGES = [Lineage(name, (dns(f"{name}.example"),)) for name in ("a", "b")]


class FakeNotes:
    """`ports.state.Notes` of rehearsals only; the first `failures` reads fail."""

    def __init__(self) -> None:
        self.rehearsals: dict[str, Rehearsal] = {}
        self.failures = 0

    async def read_rehearsals(self) -> Mapping[str, Rehearsal]:
        if self.failures:
            self.failures -= 1
            raise JournalError("state.db: disk I/O error; look at it")
        return self.rehearsals

    async def record_rehearsal(self, rehearsal: Rehearsal) -> None:
        self.rehearsals[rehearsal.lineage] = rehearsal

    async def read_owed_hooks(self, among: Collection[str] | None = None) -> Mapping[str, str]:
        raise ValueError(among)

    async def forget_owed_hook(self, lineage: str) -> None:
        raise ValueError(lineage)

    async def read_notices(self, among: Collection[str] | None = None) -> Mapping[str, frozenset[Notice]]:
        raise ValueError(among)

    async def record_notice(self, lineage: str, notice: Notice) -> None:
        raise ValueError(f"{lineage} {notice}")

    async def forget_notices(self, lineage: str) -> None:
        raise ValueError(lineage)


class Rehearsals:
    """A fake rehearsal; `rehearsed` has the names of each time, with the hours since the start."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.notes, self.began_at = clock, FakeNotes(), clock.now()
        self.every: timedelta | None = None
        self.lineages: Sequence[Lineage] = LINEAGES
        self.rehearsed: list[tuple[float, list[str]]] = []

    async def rehearse(self, lineages: Sequence[Lineage]) -> list[Rehearsal]:
        now = self.clock.now()
        self.rehearsed.append(((now - self.began_at) / HOUR, [one.name for one in lineages]))
        results = [Rehearsal(one.name, now, one.name != "b", f"how {one.name} went") for one in lineages]
        for result in results:
            await self.notes.record_rehearsal(result)
        return results

    async def watch(self, hours: int) -> None:
        """Run for this many hourly checks."""
        rehearsing = Rehearsing(lambda: (self.lineages, self.every), self.rehearse, self.notes, self.clock)
        task = asyncio.create_task(rehearsing.run())
        wanted = len(self.clock.slept) + hours + 1
        await run_tasks_until(lambda: len(self.clock.slept) >= wanted or task.done())
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def rehearsals(clock: FakeClock) -> Rehearsals:
    return Rehearsals(clock)


async def test_nothing_is_rehearsed_unless_the_settings_say_how_often(rehearsals: Rehearsals) -> None:
    await rehearsals.watch(100)
    assert rehearsals.rehearsed == []


async def test_each_is_rehearsed_first_after_an_hour_and_then_as_often_as_the_settings_say(
    rehearsals: Rehearsals,
) -> None:
    rehearsals.every = timedelta(days=2)
    await rehearsals.watch(100)
    assert rehearsals.rehearsed == [(hour, ["a", "b"]) for hour in (1, 49, 97)]


async def test_many_certificates_are_spread_over_the_hours_oldest_first(rehearsals: Rehearsals) -> None:
    rehearsals.every = timedelta(days=1)
    rehearsals.lineages = [Lineage(f"n{number:03d}", (dns(f"n{number}.example"),)) for number in range(600)]
    await rehearsals.watch(25)
    assert {len(names) for _, names in rehearsals.rehearsed} == {25}
    assert rehearsals.rehearsed[0][1] == [f"n{number:03d}" for number in range(25)]
    # After a day it starts again with the certificates rehearsed first.
    assert rehearsals.rehearsed[24][1] == rehearsals.rehearsed[0][1]


async def test_new_certificate_does_not_wait_for_the_others(rehearsals: Rehearsals) -> None:
    rehearsals.every = timedelta(days=2)
    await rehearsals.watch(1)
    rehearsals.lineages = [*LINEAGES, Lineage("c", (dns("c.example"),))]
    await rehearsals.watch(1)
    assert [names for _, names in rehearsals.rehearsed] == [["a", "b"], ["c"]]


async def test_rehearsal_dated_in_the_future_delays_nothing(rehearsals: Rehearsals, clock: FakeClock) -> None:
    rehearsals.every = timedelta(days=2)
    rehearsals.notes.rehearsals["a"] = Rehearsal("a", clock.now() + timedelta(days=900), True, "")
    await rehearsals.watch(1)
    assert rehearsals.rehearsed == [(1, ["b", "a"])]


async def test_failure_is_logged_and_rehearsals_continue(
    rehearsals: Rehearsals, caplog: pytest.LogCaptureFixture
) -> None:
    rehearsals.every, rehearsals.notes.failures = timedelta(days=2), 1
    with caplog.at_level(logging.INFO):
        await rehearsals.watch(2)
    assert rehearsals.rehearsed == [(2, ["a", "b"])]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", "the rehearsal did not run: state.db: disk I/O error; look at it"),
        ("INFO", "certificate a: rehearsed, how a went"),
        ("ERROR", "certificate b: a renewal would fail: how b went"),
    ]
