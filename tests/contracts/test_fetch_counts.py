"""Contract of `ports.state.FetchCounts`."""

from dataclasses import replace
from typing import Final

from tests.issuer.outside.states import CA
from wellkeeper_issuer.ports.state import StateRecords
from wellkeeper_issuer.records import FetchCount

COUNT: Final = FetchCount(CA, fetches=3, repeats=2, quiet_seconds=0.01)


async def test_later_count_replaces_the_earlier_one_of_the_same_ca(state: StateRecords) -> None:
    other = replace(COUNT, directory_url="https://other.example/", fetches=5)
    later = FetchCount(CA, fetches=4, repeats=0, quiet_seconds=0.02)
    for count in (COUNT, other, later):
        await state.fetch_counts.record_fetch_count(count)
    assert await state.fetch_counts.read_fetch_count(CA) == later
    assert await state.fetch_counts.read_fetch_count(other.directory_url) == other


async def test_nothing_is_known_about_a_new_ca(state: StateRecords) -> None:
    assert await state.fetch_counts.read_fetch_count(CA) is None
