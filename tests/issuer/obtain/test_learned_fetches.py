"""Learning how many fetches precede the verdicts of a CA."""

import asyncio

import pytest

from tests.fakes_state import FakeFetchCounts
from tests.issuer.outside.states import CA
from wellkeeper_issuer.obtain.learned_fetches import LearnedFetches
from wellkeeper_issuer.records import FetchCount
from wellkeeper_node.model import ExpectedFetches


@pytest.fixture
def learned() -> LearnedFetches:
    return LearnedFetches(FakeFetchCounts())


async def record(learned: LearnedFetches, *counts: int) -> None:
    for count in counts:
        await learned.record_valid(CA, count)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([3, 3], None),
        ([3, 3, 3], 3),
        ([3, 3, 3, 3], 3),
        ([3, 3, 2, 3], None),
        ([3, 3, 3, 4], None),
        ([3, 3, 3, 4, 3], None),
        ([3, 3, 3, 4, 4, 4], 4),
        ([1, 1, 1], 1),
        ([0, 0, 0], None),
        ([3, 0, 3, 0, 3], 3),
    ],
)
async def test_count_is_known_after_three_equal_ones_in_a_row(
    learned: LearnedFetches, counts: list[int], expected: int | None
) -> None:
    await record(learned, *counts)
    found = await learned.expected(CA)
    assert found == (None if expected is None else ExpectedFetches(expected, 0.01))


async def test_counts_of_another_ca_do_not_matter(learned: LearnedFetches) -> None:
    await record(learned, 3, 3, 3)
    await learned.record_early("https://other.example/")
    await learned.record_valid("https://other.example/", 5)
    assert await learned.expected(CA) == ExpectedFetches(3, 0.01)
    assert await learned.expected("https://other.example/") is None


async def test_early_question_forgets_the_count(learned: LearnedFetches) -> None:
    await record(learned, 3, 3, 3)
    await learned.record_early(CA)
    assert await learned.expected(CA) is None
    await record(learned, 5, 5, 5)
    assert await learned.expected(CA) == ExpectedFetches(5, 0.01)


async def test_question_waits_longer_when_the_count_was_right_but_early(learned: LearnedFetches) -> None:
    found = []
    for _ in range(7):
        await record(learned, 3, 3, 3)
        expected = await learned.expected(CA)
        found.append(expected.quiet_seconds if expected else None)
        await learned.record_early(CA)
    assert found == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16, None, None])


async def test_early_questions_at_the_same_time_count_once(learned: LearnedFetches) -> None:
    await record(learned, 3, 3, 3)
    await asyncio.gather(*(learned.record_early(CA) for _ in range(8)))
    await record(learned, 3, 3, 3)
    assert await learned.expected(CA) == ExpectedFetches(3, 0.02)


async def test_verdicts_at_the_same_time_all_count(learned: LearnedFetches) -> None:
    await asyncio.gather(*(record(learned, 3) for _ in range(3)))
    assert await learned.expected(CA) == ExpectedFetches(3, 0.01)


async def test_known_count_is_not_recorded_again() -> None:
    class Counting(FakeFetchCounts):
        writes = 0

        async def record_fetch_count(self, fetch_count: FetchCount) -> None:
            self.writes += 1
            await super().record_fetch_count(fetch_count)

    records = Counting()
    await record(LearnedFetches(records), *[3] * 20)
    assert records.writes == 3


async def test_nothing_is_learned_without_records() -> None:
    learned = LearnedFetches()
    await record(learned, 3, 3, 3)
    await learned.record_early(CA)
    assert await learned.expected(CA) is None
