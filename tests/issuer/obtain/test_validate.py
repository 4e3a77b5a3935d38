"""validate: polling of the CA's verdict, and the result of each."""

from dataclasses import replace

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.fakes_obtain import BASE, FakeAuthority, token
from tests.fakes_watch import FakeWatches
from tests.issuer.obtain.ordering import order
from tests.node.nodes import Nodes
from wellkeeper_issuer.errors import ChallengeError, OrderError
from wellkeeper_issuer.model import Authorization, Challenge, Lineage, Ordered, Status
from wellkeeper_issuer.obtain.publish import answers
from wellkeeper_issuer.obtain.validate import validate
from wellkeeper_issuer.outside.state.attempts import SqliteAttempts
from wellkeeper_node.model import ERROR_PREFIX, Problem

FIRST, SECOND = f"{BASE}/authz/100", f"{BASE}/authz/101"
BAD = [Status.INVALID, Status.EXPIRED, Status.DEACTIVATED, Status.REVOKED]


@pytest.fixture
def ca(clock: FakeClock) -> FakeAuthority:
    return FakeAuthority(clock)


@pytest.fixture
async def ordered(ca: FakeAuthority, attempts: SqliteAttempts) -> Ordered:
    _, placed = await order(Lineage("web", (dns("a.example"), dns("b.example"))), ca, attempts)
    ca.calls.clear()
    return placed


@pytest.fixture
def one(ordered: Ordered) -> Ordered:
    """Return the same with its first authorization only."""
    return replace(ordered, authorizations=ordered.authorizations[:1])


@pytest.fixture
def watches(clock: FakeClock) -> FakeWatches:
    return FakeWatches(clock)


def pending(ordered: Ordered, retry_after_seconds: float | None = None) -> Authorization:
    return replace(ordered.authorizations[0], retry_after_seconds=retry_after_seconds)


async def test_ca_is_polled_only_after_the_fetch(
    one: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock
) -> None:
    began = clock.monotonic()
    await validate(one, ca, watches, clock)
    assert ca.calls == [f"answer {token(100)}", f"read {FIRST}"]
    assert watches.watched[token(100)].settles == [(0.2, 2.0)]
    assert clock.monotonic() - began == pytest.approx(0.7)


async def test_every_authorization_is_answered(
    ordered: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock
) -> None:
    await validate(ordered, ca, watches, clock)
    assert sorted(ca.calls) == [f"answer {token(100)}", f"answer {token(101)}", f"read {FIRST}", f"read {SECOND}"]
    assert ca.orders[ordered.order.url].order.status is Status.READY


async def test_clients_that_fetched_the_tokens_are_returned_once_each(
    ordered: Ordered, ca: FakeAuthority, clock: FakeClock
) -> None:
    assert await validate(ordered, ca, FakeWatches(clock, at_once=2), clock) == ["192.0.2.1", "192.0.2.2"]


async def test_valid_authorizations_are_not_answered(
    ordered: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock
) -> None:
    valid = replace(ordered.authorizations[1], status=Status.VALID)
    await validate(replace(ordered, authorizations=(ordered.authorizations[0], valid)), ca, watches, clock)
    assert ca.calls == [f"answer {token(100)}", f"read {FIRST}"]


async def test_further_fetches_delay_the_poll(one: Ordered, ca: FakeAuthority, clock: FakeClock) -> None:
    watches = FakeWatches(clock, fetches=(0.5, 0.05))
    ca.script(FIRST, pending(one))
    await validate(one, ca, watches, clock)
    assert watches.watched[token(100)].settles == [(0.2, 2.0), (0.2, 0.1)]


async def test_endless_fetches_make_polls_less_frequent(one: Ordered, ca: FakeAuthority, clock: FakeClock) -> None:
    watches = FakeWatches(clock, fetches=(0.5, *[0.05] * 20))
    ca.script(FIRST, *[pending(one)] * 9)
    await validate(one, ca, watches, clock)
    waits = [seconds for _, seconds in watches.watched[token(100)].settles]
    assert waits == pytest.approx([2, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 16])


async def test_without_fetches_polls_become_less_frequent(one: Ordered, ca: FakeAuthority, clock: FakeClock) -> None:
    watches = FakeWatches(clock, fetches=())
    ca.script(FIRST, *[pending(one)] * 5)
    await validate(one, ca, watches, clock)
    assert [seconds for _, seconds in watches.watched[token(100)].settles] == [2, 4, 8, 16, 16, 16]


async def test_retry_after_takes_precedence_over_our_own_pauses(
    one: Ordered, ca: FakeAuthority, clock: FakeClock
) -> None:
    watches = FakeWatches(clock, fetches=())
    ca.script(FIRST, pending(one, 30), pending(one, 1), pending(one))
    await validate(one, ca, watches, clock)
    assert [seconds for _, seconds in watches.watched[token(100)].settles] == [2, 30, 1, 2]


@pytest.mark.parametrize("asked", [None, 3600], ids=["no Retry-After", "an hour"])
async def test_undecided_ca_times_out(one: Ordered, ca: FakeAuthority, clock: FakeClock, asked: float | None) -> None:
    began, watches = clock.monotonic(), FakeWatches(clock, fetches=())
    ca.script(FIRST, *[pending(one, asked)] * 100)
    words = r"within 120 s: no responder reported a fetch of its token; the order stays open\. Run 'wellkeeper renew'"
    with pytest.raises(ChallengeError, match=rf"the CA did not validate a\.example {words}"):
        await validate(one, ca, watches, clock)
    assert clock.monotonic() - began == 120


async def test_refusal_is_reported_with_the_cas_detail_and_advice(
    one: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock
) -> None:
    problem = Problem(f"{ERROR_PREFIX}connection", "192.0.2.1: Connection refused", 400)
    ca.refused["a.example"] = problem
    with pytest.raises(ChallengeError) as caught:
        await validate(one, ca, watches, clock)
    assert str(caught.value).startswith(
        "the CA did not accept a.example: connection (HTTP 400): 192.0.2.1: Connection refused. "
        "Check what lies between the CA and the nodes"
    )
    assert caught.value.problem == problem


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("connection", r"A and AAAA records, firewall, port 80\.$"),
        ("dns", "Check that the name has an A or AAAA record"),
        ("caa", "Allow this CA in the CAA record of the name"),
        ("unauthorized", "Check that A and AAAA records lead only to the configured nodes"),
        ("incorrectResponse", "Check that A and AAAA records lead only to the configured nodes"),
        ("rateLimited", "Fix what the CA reports"),
    ],
)
async def test_advice_fits_the_problem(
    one: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock, name: str, advice: str
) -> None:
    ca.refused["a.example"] = Problem(ERROR_PREFIX + name, "words")
    with pytest.raises(ChallengeError, match=advice):
        await validate(one, ca, watches, clock)


@pytest.mark.parametrize("status", BAD)
async def test_invalid_authorization_is_an_error_even_without_a_reason(
    one: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock, status: Status
) -> None:
    ca.script(FIRST, replace(one.authorizations[0], status=status))
    with pytest.raises(
        ChallengeError,
        match=rf"the CA did not accept a\.example: its authorization is {status}, and the CA gave no reason"
        r"; its token was fetched by 192\.0\.2\.1\. Run 'wellkeeper renew' again to place a new order",
    ):
        await validate(one, ca, watches, clock)


async def test_token_that_no_client_fetched_points_to_the_way_to_the_nodes(
    one: Ordered, ca: FakeAuthority, clock: FakeClock
) -> None:
    ca.script(FIRST, replace(one.authorizations[0], status=Status.INVALID))
    with pytest.raises(
        ChallengeError, match=r"no reason; no responder reported a fetch of its token\. Check what lies between the CA"
    ):
        await validate(one, ca, FakeWatches(clock, fetches=()), clock)


@pytest.mark.parametrize("status", BAD)
async def test_invalid_authorization_is_not_answered(
    one: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock, status: Status
) -> None:
    dead = replace(one, authorizations=(replace(one.authorizations[0], status=status),))
    with pytest.raises(ChallengeError, match=str(status)):
        await validate(dead, ca, watches, clock)
    assert ca.calls == []


async def test_several_failures_are_reported_in_one_error(
    ordered: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock
) -> None:
    problem = Problem(f"{ERROR_PREFIX}dns", "no such name")
    ca.refused.update({"a.example": None, "b.example": problem})
    with pytest.raises(
        ChallengeError, match=r"did not accept 2 names: a\.example: .*; b\.example: dns: no such name\."
    ) as caught:
        await validate(ordered, ca, watches, clock)
    assert caught.value.problem == problem


async def test_failure_is_reported_after_the_others_are_decided(
    ordered: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock
) -> None:
    ca.refused["a.example"] = None
    with pytest.raises(ChallengeError, match=r"the CA did not accept a\.example"):
        await validate(ordered, ca, watches, clock)
    assert ca.authorizations[SECOND].status is Status.VALID


async def test_other_errors_are_not_mixed_in(
    ordered: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock
) -> None:
    ca.refused["a.example"] = None
    ca.script(SECOND, OrderError("the account is gone"))
    with pytest.raises(OrderError, match="the account is gone"):
        await validate(ordered, ca, watches, clock)


async def test_challenge_answered_before_a_crash_is_not_answered_again(
    one: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock
) -> None:
    ca.set_authorization(FIRST, Status.VALID)
    first = one.authorizations[0]
    challenge = Challenge(FIRST, token(100), Status.PROCESSING)
    await validate(replace(one, authorizations=(replace(first, challenge=challenge),)), ca, watches, clock)
    assert ca.calls == [f"read {FIRST}"]


async def test_refused_answer_does_not_matter_after_the_verdict(
    one: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock
) -> None:
    async def refuse(_: Challenge) -> None:
        ca.set_authorization(FIRST, Status.VALID)
        raise ChallengeError("answering: the CA says malformed: not pending")

    ca.at_answer = refuse
    await validate(one, ca, watches, clock)


async def test_refused_answer_counts_while_the_challenge_is_pending(
    one: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock
) -> None:
    async def refuse(_: Challenge) -> None:
        raise ChallengeError("answering: the CA says malformed: bad signature")

    ca.at_answer = refuse
    with pytest.raises(ChallengeError, match="bad signature"):
        await validate(one, ca, watches, clock)


async def test_fetches_reported_by_real_responders_trigger_the_poll(
    one: Ordered, ca: FakeAuthority, nodes: Nodes, clock: FakeClock
) -> None:
    """Use real time, unlike the other tests: the quiet fifth of a second after the last fetch."""

    async def fetch(challenge: Challenge) -> None:
        for name in ("n1", "n2", "n1"):
            await nodes[name].get(challenge.token)

    ca.at_answer = fetch
    async with nodes.responders.publish(answers(one, ca.thumbprint)):
        await validate(one, ca, nodes.responders, clock)
    assert ca.calls == [f"answer {token(100)}", f"read {FIRST}"]


@pytest.mark.parametrize("status", [Status.PENDING, Status.VALID], ids=["validated now", "valid already"])
async def test_names_that_passed_are_reported_beside_the_refused_one(
    ordered: Ordered, ca: FakeAuthority, watches: FakeWatches, clock: FakeClock, status: Status
) -> None:
    ca.refused["a.example"] = Problem(f"{ERROR_PREFIX}dns", "NXDOMAIN", 400)
    first, second = ordered.authorizations
    with pytest.raises(ChallengeError) as caught:
        await validate(replace(ordered, authorizations=(first, replace(second, status=status))), ca, watches, clock)
    assert "NXDOMAIN; it accepted 1 other name: b.example" in str(caught.value)
    assert str(caught.value).endswith("If a.example is gone, remove it from identifiers.")
    assert (caught.value.identifiers, caught.value.accepted) == ((first.identifier,), (second.identifier,))
