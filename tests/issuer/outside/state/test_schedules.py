"""Schedules and failures, stored to the microsecond."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.issuer.outside.states import FAILURE, NOW, SCHEDULE, execute
from wellkeeper_issuer.errors import JournalError
from wellkeeper_issuer.outside.state.state import State, open_state
from wellkeeper_issuer.records import Rule

BARE = replace(
    SCHEDULE,
    lineage="mail",
    directory_url="",
    account_url="",
    certificate_id=None,
    rule=Rule.LIFETIME,
    ask_at=None,
    window=None,
    explanation_url=None,
    unanswered=0,
)


async def test_dates_are_those_of_the_schedules(folder: Path) -> None:
    async with open_state(folder / "state.db", may_write=True) as state:
        assert await state.schedules.read_dates() == {}
        for schedule in (SCHEDULE, replace(BARE, not_after=NOW + timedelta(days=6))):
            await state.schedules.record_schedule(schedule)
        assert await state.schedules.read_dates() == {
            "web": (SCHEDULE.version, SCHEDULE.not_before, SCHEDULE.not_after),
            "mail": (BARE.version, BARE.not_before, NOW + timedelta(days=6)),
        }


async def test_schedules_survive_unchanged(folder: Path) -> None:
    async with open_state(folder / "state.db", may_write=True) as state:
        for schedule in (SCHEDULE, BARE):
            await state.schedules.record_schedule(schedule)
    async with open_state(folder / "state.db", may_write=False) as state:
        assert await state.schedules.read_schedules() == {"web": SCHEDULE, "mail": BARE}
        assert await state.schedules.read_schedule("mail") == BARE
        assert await state.schedules.read_schedule("shop") is None


async def test_failures_survive_until_they_are_forgotten(folder: Path) -> None:
    again = replace(FAILURE, count=4, next_try_at=NOW + timedelta(days=1), problem=None)
    other = replace(FAILURE, lineage="mail")
    async with open_state(folder / "state.db", may_write=True) as state:
        for failure in (FAILURE, again, other):
            await state.schedules.record_failure(failure)
    async with open_state(folder / "state.db", may_write=True) as state:
        assert await state.schedules.read_failures() == {"web": again, "mail": other}
        for _ in range(2):
            await state.schedules.forget_failure("mail")
        assert await state.schedules.read_failure("mail") is None
        assert await state.schedules.read_failure("web") == again


async def test_damaged_row_is_reported_as_a_damaged_file(folder: Path, state: State) -> None:
    await state.schedules.record_schedule(SCHEDULE)
    execute(folder / "state.db", "UPDATE schedules SET rule = 'nonsense'")
    with pytest.raises(JournalError, match="Restore the file from a backup"):
        await state.schedules.read_schedules()
