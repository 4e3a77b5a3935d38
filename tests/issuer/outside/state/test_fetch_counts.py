"""Rows of fetch_counts."""

from pathlib import Path
from typing import Final

import pytest

from tests.issuer.outside.states import CA, execute
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import FetchCount

COUNT: Final = FetchCount(CA, fetches=3, repeats=3, quiet_seconds=0.01)


@pytest.mark.parametrize(
    "damage",
    ["fetches = 0", "fetches = -3", "fetches = 101", "repeats = -1", "quiet_seconds = 0", "quiet_seconds = 9e999"],
)
async def test_row_that_makes_no_sense_counts_as_none_and_can_be_replaced(
    folder: Path, state: State, damage: str
) -> None:
    await state.fetch_counts.record_fetch_count(COUNT)
    execute(folder / "state.db", f"UPDATE fetch_counts SET {damage}")  # noqa: S608 - of this file
    assert await state.fetch_counts.read_fetch_count(CA) is None
    await state.fetch_counts.record_fetch_count(COUNT)
    assert await state.fetch_counts.read_fetch_count(CA) == COUNT
