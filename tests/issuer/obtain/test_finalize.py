"""finalize: each status of an order, and wrong chains."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.fakes_obtain import BASE, FakeAuthority
from tests.fakes_root import FakeRoot
from tests.issuer.obtain.ordering import order
from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import DatesError, FinalizeError
from wellkeeper_issuer.model import Attempt, Lineage, Order, Status
from wellkeeper_issuer.obtain.finalize import finalize
from wellkeeper_issuer.outside.state.attempts import SqliteAttempts
from wellkeeper_node.model import ERROR_PREFIX, KeyType, Problem

A, B = dns("a.example"), dns("b.example")
URL = f"{BASE}/order/1"
FINALIZE = f"{URL}/finalize"


@pytest.fixture
def ca(clock: FakeClock) -> FakeAuthority:
    return FakeAuthority(clock)


@pytest.fixture
async def attempt(ca: FakeAuthority, attempts: SqliteAttempts) -> Attempt:
    """Return an attempt whose order is ready."""
    made, _ = await order(Lineage("web", (A,)), ca, attempts)
    ca.set_order(URL, Status.READY)
    ca.calls.clear()
    return made


def state(ca: FakeAuthority, status: Status, retry_after_seconds: float | None = None) -> Order:
    return replace(ca.orders[URL].order, status=status, retry_after_seconds=retry_after_seconds)


def placed(ca: FakeAuthority) -> Order:
    return ca.orders[URL].order


async def test_ready_order_is_finalized_and_its_chain_recorded(
    attempt: Attempt, ca: FakeAuthority, attempts: SqliteAttempts, clock: FakeClock
) -> None:
    chain = await finalize(attempt, placed(ca), ca, attempts, clock)
    assert ca.calls == [f"finalize {URL}", f"chain {URL}"]
    assert ca.orders[URL].csr_der == attempt.csr_der
    pki.check_chain(chain, attempt.csr_der, [A], clock.now())
    assert await attempts.read_attempt("web") == replace(attempt.with_order(ca.orders[URL].order), chain_pem=chain)
    assert clock.slept == []


async def test_valid_order_is_not_finalized_again(
    attempt: Attempt, ca: FakeAuthority, attempts: SqliteAttempts, clock: FakeClock
) -> None:
    ca.issue(URL, attempt.csr_der)
    await finalize(attempt, placed(ca), ca, attempts, clock)
    assert ca.calls == [f"chain {URL}"]


async def test_processing_order_is_polled_less_and_less_often(
    attempt: Attempt, ca: FakeAuthority, attempts: SqliteAttempts, clock: FakeClock
) -> None:
    ca.issue(URL, attempt.csr_der)
    ca.script(URL, *[state(ca, Status.PROCESSING)] * 9)
    await finalize(attempt, state(ca, Status.PROCESSING), ca, attempts, clock)
    assert clock.slept == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12])
    assert f"finalize {URL}" not in ca.calls


async def test_processing_after_finalize_honours_retry_after(
    attempt: Attempt, ca: FakeAuthority, attempts: SqliteAttempts, clock: FakeClock
) -> None:
    ready = placed(ca)
    ca.script(URL, state(ca, Status.PROCESSING, 7))
    ca.script(FINALIZE, state(ca, Status.PROCESSING, 5))
    ca.issue(URL, attempt.csr_der)
    await finalize(attempt, ready, ca, attempts, clock)
    assert clock.slept == [5, 7]
    assert ca.calls.count(f"finalize {URL}") == 1


async def test_order_not_yet_ready_is_finalized_once_it_is_ready(
    attempt: Attempt, ca: FakeAuthority, attempts: SqliteAttempts, clock: FakeClock
) -> None:
    ca.script(FINALIZE, state(ca, Status.PENDING))
    await finalize(attempt, placed(ca), ca, attempts, clock)
    assert clock.slept == [0.01]
    assert ca.calls == [f"finalize {URL}", f"read {URL}", f"finalize {URL}", f"chain {URL}"]


async def test_order_that_was_pending_before_its_authorizations_were_valid_is_finalized_at_once(
    attempt: Attempt, ca: FakeAuthority, attempts: SqliteAttempts, clock: FakeClock
) -> None:
    await finalize(attempt, state(ca, Status.PENDING), ca, attempts, clock)
    assert ca.calls == [f"finalize {URL}", f"chain {URL}"]


async def test_order_that_goes_back_to_ready_is_finalized_again(
    attempt: Attempt, ca: FakeAuthority, attempts: SqliteAttempts, clock: FakeClock
) -> None:
    ca.script(FINALIZE, state(ca, Status.READY), state(ca, Status.PENDING))
    await finalize(attempt, placed(ca), ca, attempts, clock)
    assert ca.calls.count(f"finalize {URL}") == 3


@pytest.mark.parametrize("status", [Status.INVALID, Status.EXPIRED, Status.DEACTIVATED, Status.REVOKED])
@pytest.mark.parametrize("is_late", [False, True], ids=["when read", "after finalize"])
async def test_lost_order_is_reported_at_once(
    attempt: Attempt, ca: FakeAuthority, attempts: SqliteAttempts, clock: FakeClock, status: Status, is_late: bool
) -> None:
    if is_late:
        ca.script(FINALIZE, state(ca, status))
    else:
        ca.set_order(URL, status)
    with pytest.raises(
        FinalizeError, match=f"the CA's order became {status}: the CA gave no reason. Run 'wellkeeper renew' again"
    ):
        await finalize(attempt, placed(ca), ca, attempts, clock)
    assert clock.slept == []


async def test_lost_order_is_reported_with_the_cas_reason(
    attempt: Attempt, ca: FakeAuthority, attempts: SqliteAttempts, clock: FakeClock
) -> None:
    problem = Problem(f"{ERROR_PREFIX}badCSR", "weak key", 400)
    ca.set_order(URL, Status.INVALID, problem)
    with pytest.raises(
        FinalizeError, match=r"became invalid: badCSR \(HTTP 400\): weak key. Run 'wellkeeper renew' again"
    ) as caught:
        await finalize(attempt, placed(ca), ca, attempts, clock)
    assert caught.value.problem == problem


async def test_forgotten_order_is_reported(
    attempt: Attempt, ca: FakeAuthority, attempts: SqliteAttempts, clock: FakeClock
) -> None:
    ca.script(FINALIZE, state(ca, Status.PROCESSING))
    ca.script(URL, None)
    with pytest.raises(FinalizeError, match=f"the CA no longer knows the order {URL}. Run 'wellkeeper renew' again"):
        await finalize(attempt, placed(ca), ca, attempts, clock)


@pytest.mark.parametrize("status", [Status.PENDING, Status.PROCESSING, Status.READY])
async def test_order_that_takes_too_long_stays_open(
    attempt: Attempt, ca: FakeAuthority, attempts: SqliteAttempts, clock: FakeClock, status: Status
) -> None:
    ca.script(URL, *[state(ca, status)] * 100)
    ca.script(FINALIZE, *[state(ca, status)] * 100)
    with pytest.raises(
        FinalizeError, match=f"did not issue the certificate within 300 s: its order {URL} is still {status}. Run"
    ):
        await finalize(attempt, placed(ca), ca, attempts, clock)
    assert 290 < sum(clock.slept) <= 300
    assert await attempts.read_attempt("web") is not None


async def test_long_retry_after_ends_the_pass_at_once(
    attempt: Attempt, ca: FakeAuthority, attempts: SqliteAttempts, clock: FakeClock
) -> None:
    ca.script(FINALIZE, state(ca, Status.PROCESSING, 86_400))
    with pytest.raises(FinalizeError, match="again in 600 s to continue this order") as caught:
        await finalize(attempt, placed(ca), ca, attempts, clock)
    assert caught.value.retry_at == clock.now() + timedelta(minutes=10)
    assert clock.slept == []


@pytest.mark.parametrize(
    ("problem", "is_kept"),
    [(None, True), (Problem(f"{ERROR_PREFIX}serverInternal", ""), True), (Problem(f"{ERROR_PREFIX}badCSR", ""), False)],
    ids=["no answer", "server error", "rejected CSR"],
)
async def test_refused_finalization_keeps_the_order_if_resuming_can_help(
    attempt: Attempt,
    ca: FakeAuthority,
    attempts: SqliteAttempts,
    clock: FakeClock,
    problem: Problem | None,
    is_kept: bool,
) -> None:
    ca.script(FINALIZE, FinalizeError("the CA refused", problem=problem))
    with pytest.raises(FinalizeError, match="the CA refused"):
        await finalize(attempt, placed(ca), ca, attempts, clock)
    assert await attempts.read_attempt("web") == (attempt.with_order(ca.orders[URL].order) if is_kept else None)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda root, _: root.chain(pki.make_csr(pki.make_certificate_key(KeyType.ECDSA_P256), [A])),
            "its key is not the key in our CSR",
        ),
        (
            lambda root, attempt: root.chain(pki.make_csr(attempt.certificate_key_pem, [B])),
            r"lacks a\.example and has b",
        ),
        (
            lambda root, attempt: root.chain(attempt.csr_der) + attempt.certificate_key_pem,
            "contains a 'PRIVATE KEY' block",
        ),
        (lambda _, __: b"<html>", "cannot be parsed as PEM certificates"),
    ],
    ids=["key", "names", "private key", "page"],
)
async def test_wrong_chain_is_reported_and_its_attempt_forgotten(
    attempt: Attempt,
    ca: FakeAuthority,
    attempts: SqliteAttempts,
    clock: FakeClock,
    spoil: Callable[[FakeRoot, Attempt], bytes],
    words: str,
) -> None:
    ca.chain = lambda _: spoil(ca.root, attempt)
    with pytest.raises(FinalizeError, match=words):
        await finalize(attempt, placed(ca), ca, attempts, clock)
    assert await attempts.read_attempt("web") is None


async def test_chain_not_valid_by_our_clock_is_kept(
    attempt: Attempt, ca: FakeAuthority, attempts: SqliteAttempts, clock: FakeClock
) -> None:
    """Keep the chain, or a machine with a wrong clock would order a new certificate in each pass."""
    issued = ca.root.chain(attempt.csr_der, days=1)
    ca.chain = lambda _: issued
    clock.advance(86_400 * 2)
    with pytest.raises(DatesError, match="has expired"):
        await finalize(attempt, placed(ca), ca, attempts, clock)
    kept = await attempts.read_attempt("web")
    assert kept is not None
    assert kept.chain_pem is not None


async def test_order_with_changed_authorizations_fails_at_once(
    attempt: Attempt, ca: FakeAuthority, attempts: SqliteAttempts, clock: FakeClock
) -> None:
    before = placed(ca)
    ca.script(FINALIZE, replace(before, status=Status.PENDING, authorization_urls=(f"{BASE}/authz/7",)))
    with pytest.raises(FinalizeError, match=r"it now asks for other authorizations .* Run 'wellkeeper renew' again"):
        await finalize(attempt, before, ca, attempts, clock)
    assert clock.slept == []
    assert await attempts.read_attempt("web") is not None
