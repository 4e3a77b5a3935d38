"""Medians, ratios and goals computed from measured values."""

import pytest

from bench.figures import Series, at_least, at_most, ratio_at_least, ratio_at_most, shown


def _series(name: str, *values: float) -> Series:
    return Series("requests", name, "/s", values)


def test_ratio_is_taken_per_round_and_not_of_medians() -> None:
    """Another process slows both measurements down more and more."""
    ours, yardstick = _series("ours", 80, 45, 30), _series("yardstick", 100, 50, 40)
    assert ratio_at_least(ours, yardstick, 0.8).found == pytest.approx(0.8)


@pytest.mark.parametrize(("limit", "is_met"), [(0.5, True), (0.49, False)])
def test_ratio_may_reach_its_limit(limit: float, is_met: bool) -> None:
    goal = ratio_at_most(_series("ours", 1, 1, 1), _series("yardstick", 2, 2, 2), limit)
    assert (goal.text, goal.found, goal.is_met) == (f"≤ {limit:g} × yardstick", 0.5, is_met)


def test_median_is_compared_with_the_limit() -> None:
    assert at_most(_series("ours", 1, 99, 2), 2).is_met
    assert not at_most(_series("ours", 1, 99, 3), 2).is_met


@pytest.mark.parametrize(("limit", "is_met"), [(2, True), (2.1, False)])
def test_median_may_be_the_lower_limit(limit: float, is_met: bool) -> None:
    goal = at_least(_series("ours", 1, 99, 2), limit)
    assert (goal.text, goal.found, goal.is_met) == (f"≥ {limit:g} /s", 2, is_met)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (3.0, "3"), (0.12345, "0.123"), (12.345, "12.3"), (99_999.6, "100 000"), (1234567, "1 234 567")],
)
def test_numbers_are_shown_with_three_digits_or_as_integers(value: float, text: str) -> None:
    assert shown(value) == text
