"""Backoff: waits of a certificate after failures."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from wellkeeper_issuer.errors import ChallengeError, OrderError
from wellkeeper_issuer.obtain.backoff import after, is_emergency, is_over
from wellkeeper_issuer.records import Failure
from wellkeeper_node.errors import PublishError, Retry, WellkeeperError
from wellkeeper_node.model import ERROR_PREFIX, Problem

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Dates:
    not_before: datetime
    not_after: datetime


def dated(lifetime_days: float, left_days: float) -> Dates:
    end = NOW + left_days * DAY
    return Dates(end - lifetime_days * DAY, end)


FRESH = dated(90, 30)


def series(
    errors: Sequence[WellkeeperError], dates: Dates | None = FRESH, chosen: float = 0.0, now: datetime = NOW
) -> list[timedelta]:
    """Return the waits after these errors, with a retry at the end of each wait."""
    failure, waits = None, []
    for error in errors:
        failure = after(failure, error, "www", dates, now, lambda: chosen)
        waits.append(failure.next_try_at - now)
        now = failure.next_try_at
    return waits


def test_waits_grow_tenfold_up_to_a_day() -> None:
    waits = series([PublishError("404")] * 6)
    assert waits == [MINUTE, 10 * MINUTE, 100 * MINUTE, DAY, DAY, DAY]


def test_long_waits_are_shortened_by_up_to_a_fifth_and_short_ones_are_not() -> None:
    waits = series([PublishError("404")] * 4, chosen=1.0)
    assert waits == [MINUTE, 8 * MINUTE, 80 * MINUTE, 0.8 * DAY]


def test_longest_wait_is_a_tenth_of_the_lifetime() -> None:
    assert series([PublishError("404")] * 5, dated(6, 3))[3:] == [0.6 * DAY] * 2
    assert series([PublishError("404")] * 4, dated(0.5, 0.3)) == [MINUTE, 10 * MINUTE, 72 * MINUTE, 72 * MINUTE]


def test_without_a_certificate_the_longest_wait_is_a_day() -> None:
    assert series([PublishError("404")] * 4, None)[-1] == DAY


def test_unreachable_ca_is_asked_at_least_once_per_hour() -> None:
    away = OrderError("maintenance", problem=Problem(f"{ERROR_PREFIX}serverInternal", "", 503))
    for error in (OrderError("no answer"), away):
        assert series([error] * 5) == [MINUTE, 10 * MINUTE, 60 * MINUTE, 60 * MINUTE, 60 * MINUTE]


def test_first_refusal_after_a_long_outage_of_the_ca_is_retried_soon() -> None:
    away, refused = OrderError("no answer"), ChallengeError("refused", problem=Problem("connection", ""))
    assert series([away] * 5 + [refused] * 2)[-2:] == [MINUTE, 10 * MINUTE]
    assert series([refused] * 3 + [PublishError("404")])[-1] == DAY


def test_later_retry_starts_at_a_hundred_minutes() -> None:
    waits = series([ChallengeError("wrong answer", retry=Retry.LATER)] * 4)
    assert waits == [100 * MINUTE, 100 * MINUTE, 100 * MINUTE, DAY]


def test_permanent_failure_is_retried_less_and_less_often() -> None:
    refused = OrderError("rejected", retry=Retry.NEVER)
    assert series([refused] * 6) == [DAY, 2 * DAY, 4 * DAY, 7 * DAY, 7 * DAY, 7 * DAY]
    assert series([refused] * 5, chosen=1.0) == [0.8 * n * DAY for n in (1, 2, 4, 7, 7)]


def test_first_permanent_failure_waits_a_day_after_any_earlier_failures() -> None:
    assert series([*[OrderError("no answer")] * 3, OrderError("rejected", retry=Retry.NEVER)])[-1] == DAY


def test_retry_waits_at_least_as_long_as_the_ca_asked() -> None:
    error = OrderError("limited", retry=Retry.LATER, retry_at=NOW + 34 * 60 * MINUTE)
    assert series([error]) == [34 * 60 * MINUTE]


def test_ca_time_replaces_the_first_wait_but_not_longer_later_ones() -> None:
    soon = OrderError("limited", retry=Retry.LATER, retry_at=NOW + 5 * MINUTE)
    assert series([soon]) == [5 * MINUTE]
    assert series([*[OrderError("no answer")] * 2, soon])[-1] == 100 * MINUTE


def test_ca_that_asks_to_wait_for_years_is_asked_again_after_a_week() -> None:
    assert series([OrderError("limited", retry_at=NOW + 3650 * DAY)]) == [7 * DAY]


@pytest.mark.parametrize("left_days", [4.4, 0.1, -1, -6.9])
def test_longest_wait_near_expiry_is_an_hour(left_days: float) -> None:
    waits = [
        after(failure(9), OrderError("no answer", retry=retry), "www", dated(90, left_days), NOW, lambda: 0.0)
        for retry in (Retry.SOON, Retry.LATER)
    ]
    assert {one.next_try_at - NOW for one in waits} == {60 * MINUTE}


def test_time_of_the_ca_still_counts_near_expiry() -> None:
    asked = OrderError("limited", retry=Retry.LATER, retry_at=NOW + 5 * 60 * MINUTE)
    assert after(failure(3), asked, "www", dated(90, 1), NOW, lambda: 0.0).next_try_at == asked.retry_at


@pytest.mark.parametrize(("lifetime", "left", "wait"), [(90, 4, 0.9), (200, 9, 1), (6, 0.5, 0.06)])
def test_permanent_failure_is_retried_a_few_more_times_near_expiry(lifetime: float, left: float, wait: float) -> None:
    earlier = failure(4, retry=Retry.NEVER, wait=4 * DAY)
    refused = OrderError("rejected", retry=Retry.NEVER)
    assert after(earlier, refused, "www", dated(lifetime, left), NOW, lambda: 0.0).next_try_at - NOW == wait * DAY


def test_permanent_failure_waits_at_most_a_tenth_of_the_lifetime() -> None:
    refused = OrderError("rejected", retry=Retry.NEVER)
    assert max(series([refused] * 4, dated(20, 15))) == 2 * DAY


def test_turning_point_ends_our_own_wait_but_not_one_of_the_ca() -> None:
    soon, over = NOW + timedelta(hours=3), NOW - timedelta(hours=3)
    refused = OrderError("rejected", retry=Retry.NEVER)
    assert after(None, refused, "www", FRESH, NOW, lambda: 0.0, (over, soon)).next_try_at == soon
    limited = OrderError("too many", retry_at=NOW + DAY)
    assert after(None, limited, "www", FRESH, NOW, lambda: 0.0, (over, soon)).next_try_at == NOW + DAY


def test_certificate_expired_long_ago_is_not_an_emergency() -> None:
    assert not is_emergency(dated(90, -7.1), NOW)
    assert series([PublishError("404")] * 4, dated(90, -30))[-1] == DAY


def test_emergency_is_the_last_twentieth() -> None:
    assert is_emergency(dated(100, 5), NOW)
    assert not is_emergency(dated(100, 5.01), NOW)


def test_failures_in_a_row_are_counted_and_the_first_date_is_kept() -> None:
    problem = Problem(ERROR_PREFIX + "rateLimited", "too many")
    first = after(None, PublishError("no answer"), "www", FRESH, NOW, lambda: 0.5)
    second = after(first, ChallengeError("too many", problem=problem), "www", FRESH, NOW + DAY, lambda: 0.5)
    assert (first.count, first.stage, first.first_at, first.problem) == (1, "publish", NOW, None)
    assert second == Failure(
        lineage="www",
        count=2,
        stage="validate",
        message="too many",
        retry=Retry.SOON,
        first_at=NOW,
        last_at=NOW + DAY,
        next_try_at=NOW + DAY + 9 * MINUTE,
        problem="rateLimited",
    )


def test_failure_is_over_when_its_wait_ends() -> None:
    one = failure(3)
    assert not is_over(one, one.next_try_at - timedelta(microseconds=1))
    assert is_over(one, one.next_try_at)


@pytest.mark.parametrize("back", [timedelta(seconds=1), DAY, 3650 * DAY])
def test_clock_set_back_does_not_prolong_a_wait(back: timedelta) -> None:
    one = failure(3)
    assert is_over(one, one.last_at - back)


def failure(count: int, retry: Retry = Retry.SOON, wait: timedelta = 100 * MINUTE) -> Failure:
    return Failure("www", count, "order", "no answer", retry, NOW - 9 * DAY, NOW - wait, NOW)
