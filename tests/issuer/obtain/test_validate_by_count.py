"""validate: the question right after as many fetches as preceded the CA's earlier verdicts."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.fakes_obtain import BASE, FakeAuthority, token
from tests.fakes_state import FakeFetchCounts
from tests.fakes_watch import FakeWatches
from tests.issuer.obtain.ordering import order
from wellkeeper_issuer.errors import ChallengeError
from wellkeeper_issuer.model import Challenge, Lineage, Ordered, Status
from wellkeeper_issuer.obtain.learned_fetches import LearnedFetches
from wellkeeper_issuer.obtain.validate import validate
from wellkeeper_issuer.outside.state.attempts import SqliteAttempts
from wellkeeper_issuer.records import FetchCount

Validate = Callable[..., Awaitable[float]]

FIRST = f"{BASE}/authz/100"


@pytest.fixture
def ca(clock: FakeClock) -> FakeAuthority:
    return FakeAuthority(clock)


@pytest.fixture
def records(ca: FakeAuthority) -> FakeFetchCounts:
    """Return records of three verdicts after three fetches each."""
    found = FakeFetchCounts()
    found.counts[ca.directory_url] = FetchCount(ca.directory_url, 3, 3, 0.01)
    return found


@pytest.fixture
async def one(ca: FakeAuthority, attempts: SqliteAttempts) -> Ordered:
    _, placed = await order(Lineage("web", (dns("a.example"),)), ca, attempts)
    ca.calls.clear()
    return placed


@pytest.fixture
def validated(one: Ordered, ca: FakeAuthority, records: FakeFetchCounts, clock: FakeClock) -> Validate:
    async def run(watches: FakeWatches, ordered: Ordered = one) -> float:
        began = clock.monotonic()
        await validate(ordered, ca, watches, clock, LearnedFetches(records))
        return clock.monotonic() - began

    return run


async def test_ca_is_asked_right_after_the_expected_fetches(
    validated: Validate, ca: FakeAuthority, clock: FakeClock
) -> None:
    assert await validated(FakeWatches(clock, at_once=3)) == pytest.approx(0.51)
    assert ca.calls == [f"answer {token(100)}", f"read {FIRST}"]


async def test_fewer_fetches_wait_for_quiet_and_are_learned(
    validated: Validate, ca: FakeAuthority, clock: FakeClock, records: FakeFetchCounts
) -> None:
    assert await validated(FakeWatches(clock, at_once=2)) == pytest.approx(0.7)
    assert ca.calls == [f"answer {token(100)}", f"read {FIRST}"]
    assert records.counts[ca.directory_url] == FetchCount(ca.directory_url, 2, 1, 0.01)


async def test_no_fetches_wait_as_before(validated: Validate, clock: FakeClock, records: FakeFetchCounts) -> None:
    before = dict(records.counts)
    assert await validated(FakeWatches(clock, fetches=())) == pytest.approx(2)
    assert records.counts == before


@pytest.mark.parametrize("retry_after_seconds", [None, 5.0])
async def test_early_question_costs_one_request_and_no_time(
    validated: Validate, one: Ordered, ca: FakeAuthority, clock: FakeClock, retry_after_seconds: float | None
) -> None:
    ca.script(FIRST, replace(one.authorizations[0], retry_after_seconds=retry_after_seconds))
    watches = FakeWatches(clock, at_once=3)
    assert await validated(watches) == pytest.approx(0.71)
    assert ca.calls == [f"answer {token(100)}", f"read {FIRST}", f"read {FIRST}"]
    assert watches.watched[token(100)].settles == [(0.2, 2.0), (0.2, 0.2)]


async def test_early_question_is_not_repeated_in_the_next_validation(
    validated: Validate, one: Ordered, ca: FakeAuthority, clock: FakeClock, records: FakeFetchCounts
) -> None:
    ca.script(FIRST, one.authorizations[0])
    await validated(FakeWatches(clock, at_once=3))
    assert records.counts[ca.directory_url] == FetchCount(ca.directory_url, 3, 1, 0.02)
    assert await validated(FakeWatches(clock, at_once=3)) == pytest.approx(0.7)


async def test_more_fetches_than_expected_replace_the_count(
    validated: Validate, one: Ordered, ca: FakeAuthority, clock: FakeClock, records: FakeFetchCounts
) -> None:
    ca.script(FIRST, one.authorizations[0])
    await validated(FakeWatches(clock, fetches=(0.5, 0.05), at_once=3))
    assert records.counts[ca.directory_url] == FetchCount(ca.directory_url, 6, 1, 0.01)


async def test_later_questions_are_paced_by_retry_after(
    validated: Validate, one: Ordered, ca: FakeAuthority, clock: FakeClock
) -> None:
    ca.script(FIRST, *[replace(one.authorizations[0], retry_after_seconds=seconds) for seconds in (5.0, 7.0)])
    watches = FakeWatches(clock, at_once=3)
    await validated(watches)
    assert watches.watched[token(100)].settles == [(0.2, 2.0), (0.2, 0.2), (0.2, 7.0)]


async def test_challenge_answered_before_a_crash_teaches_nothing(
    validated: Validate, one: Ordered, ca: FakeAuthority, clock: FakeClock, records: FakeFetchCounts
) -> None:
    """Nobody knows how many fetches came before the crash."""
    before = dict(records.counts)
    ca.set_authorization(FIRST, Status.VALID)
    challenge = Challenge(FIRST, token(100), Status.PROCESSING)
    resumed = replace(one, authorizations=(replace(one.authorizations[0], challenge=challenge),))
    assert await validated(FakeWatches(clock), resumed) == pytest.approx(0.7)
    assert records.counts == before


async def test_refused_authorization_teaches_nothing(
    validated: Validate, ca: FakeAuthority, clock: FakeClock, records: FakeFetchCounts
) -> None:
    before = dict(records.counts)
    ca.refused["a.example"] = None
    with pytest.raises(ChallengeError):
        await validated(FakeWatches(clock))
    assert records.counts == before
