"""validate: challenges with an error that are not decided, since the CA lets the client or itself try again."""

from dataclasses import replace

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.fakes_obtain import BASE, FakeAuthority, token
from tests.fakes_watch import FakeWatches
from tests.issuer.obtain.ordering import order
from wellkeeper_issuer.errors import ChallengeError
from wellkeeper_issuer.model import Authorization, Challenge, Lineage, Ordered, Status
from wellkeeper_issuer.obtain.validate import validate
from wellkeeper_issuer.outside.state.attempts import SqliteAttempts
from wellkeeper_node.model import ERROR_PREFIX, Problem

FIRST = f"{BASE}/authz/100"


@pytest.fixture
def ca(clock: FakeClock) -> FakeAuthority:
    return FakeAuthority(clock)


@pytest.fixture
async def one(ca: FakeAuthority, attempts: SqliteAttempts) -> Ordered:
    _, placed = await order(Lineage("web", (dns("a.example"),)), ca, attempts)
    ca.calls.clear()
    return placed


@pytest.fixture
def watches(clock: FakeClock) -> FakeWatches:
    return FakeWatches(clock)


def failed(one: Ordered, status: Status = Status.PENDING, detail: str = "could not connect") -> Authorization:
    """The first authorization, pending, with an error of its challenge."""
    authorization = one.authorizations[0]
    challenge = Challenge(FIRST, token(100), status, Problem(f"{ERROR_PREFIX}connection", detail))
    return replace(authorization, challenge=challenge)


async def test_pending_challenge_with_an_error_has_failed(one: Ordered, ca: FakeAuthority, clock: FakeClock) -> None:
    began, watches = clock.monotonic(), FakeWatches(clock, fetches=())
    ca.script(FIRST, failed(one))
    with pytest.raises(
        ChallengeError, match=r"did not accept a\.example: connection: could not connect\. Check what lies between"
    ) as caught:
        await validate(one, ca, watches, clock)
    assert clock.monotonic() - began == 2
    assert caught.value.identifiers == (dns("a.example"),)


async def test_challenge_that_the_ca_retries_itself_is_waited_for(
    one: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock
) -> None:
    ca.script(FIRST, failed(one, Status.PROCESSING))
    await validate(one, ca, watches, clock)


async def test_error_of_the_earlier_try_does_not_count_before_the_ca_looked_again(
    one: Ordered, ca: FakeAuthority, clock: FakeClock
) -> None:
    resumed = replace(one, authorizations=(failed(one),))
    ca.script(FIRST, failed(one))
    await validate(resumed, ca, FakeWatches(clock, fetches=()), clock)
    assert ca.calls == [f"answer {token(100)}", f"read {FIRST}", f"read {FIRST}"]


async def test_error_that_stays_after_a_second_answer_counts(one: Ordered, ca: FakeAuthority, clock: FakeClock) -> None:
    began = clock.monotonic()
    resumed = replace(one, authorizations=(failed(one),))
    ca.script(FIRST, *[failed(one)] * 9)
    with pytest.raises(ChallengeError, match="could not connect"):
        await validate(resumed, ca, FakeWatches(clock, fetches=()), clock)
    assert clock.monotonic() - began == 6


async def test_another_error_after_a_second_answer_counts_at_once(
    one: Ordered, ca: FakeAuthority, clock: FakeClock
) -> None:
    began = clock.monotonic()
    ca.script(FIRST, failed(one, detail="no route"))
    resumed = replace(one, authorizations=(failed(one),))
    with pytest.raises(ChallengeError, match="no route"):
        await validate(resumed, ca, FakeWatches(clock, fetches=()), clock)
    assert clock.monotonic() - began == 2


async def test_answer_refused_with_the_error_of_the_validation_is_reported_in_the_words_of_the_challenge(
    one: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock
) -> None:
    async def refuse(_: Challenge) -> None:
        raise ChallengeError("the CA refused the response")

    ca.at_answer = refuse
    ca.script(FIRST, failed(one))
    with pytest.raises(ChallengeError, match=r"did not accept a\.example: connection: could not connect"):
        await validate(one, ca, watches, clock)


async def test_ca_that_does_not_decide_is_reported_with_its_last_error(
    one: Ordered, ca: FakeAuthority, clock: FakeClock
) -> None:
    ca.script(FIRST, *[failed(one, Status.PROCESSING)] * 100)
    with pytest.raises(ChallengeError, match=r"within 120 s: connection: could not connect; the order stays open"):
        await validate(one, ca, FakeWatches(clock, fetches=()), clock)
