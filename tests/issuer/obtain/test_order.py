"""order: records made before the CA is asked, and resuming after a crash."""

import asyncio
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.fakes_obtain import BASE, FakeAuthority, token
from tests.issuer.obtain.ordering import order
from wellkeeper_issuer import pki
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.model import Lineage, Status
from wellkeeper_issuer.outside.state.attempts import SqliteAttempts
from wellkeeper_node.errors import Retry
from wellkeeper_node.model import ERROR_PREFIX, KeyType, Problem

A, B, C = dns("a.example"), dns("b.example"), dns("c.example")
LINEAGE = Lineage("web", (A, B), profile="shortlived")
FIRST = f"{BASE}/order/1"
SECOND = f"{BASE}/order/2"


@pytest.fixture
def ca(clock: FakeClock) -> FakeAuthority:
    return FakeAuthority(clock)


async def test_key_and_csr_are_durable_before_the_ca_is_asked(ca: FakeAuthority, attempts: SqliteAttempts) -> None:
    seen = []

    async def look() -> None:
        seen.append(await attempts.read_attempt("web"))

    ca.at_new_order = look
    attempt, _ = await order(LINEAGE, ca, attempts)
    assert seen == [attempt]
    assert (attempt.lineage, attempt.directory_url, attempt.identifiers) == ("web", ca.directory_url, (A, B))
    pki.check_chain(ca.root.chain(attempt.csr_der), attempt.csr_der, (A, B), FakeClock().now())


async def test_new_order_is_recorded_and_its_authorizations_read(ca: FakeAuthority, attempts: SqliteAttempts) -> None:
    attempt, ordered = await order(LINEAGE, ca, attempts)
    assert await attempts.read_attempt("web") == attempt.with_order(ca.orders[FIRST].order)
    assert (ordered.order.url, ordered.order.status) == (FIRST, Status.PENDING)
    assert [one.identifier for one in ordered.authorizations] == [A, B]
    assert [one.challenge.token for one in ordered.authorizations if one.challenge] == [token(100), token(101)]
    assert ca.profiles == ["shortlived"]


async def test_order_is_resumed_with_the_same_key(ca: FakeAuthority, attempts: SqliteAttempts) -> None:
    first, _ = await order(LINEAGE, ca, attempts)
    ca.calls.clear()
    again, ordered = await order(replace(LINEAGE, identifiers=(B, A)), ca, attempts)
    assert (again.certificate_key_pem, again.csr_der) == (first.certificate_key_pem, first.csr_der)
    assert ordered.order.url == FIRST
    assert "newOrder" not in ca.calls


@pytest.mark.parametrize("status", [Status.READY, Status.PROCESSING, Status.VALID])
async def test_advanced_order_is_resumed_without_reading_authorizations(
    ca: FakeAuthority, attempts: SqliteAttempts, status: Status
) -> None:
    await order(LINEAGE, ca, attempts)
    ca.set_order(FIRST, status)
    ca.calls.clear()
    _, ordered = await order(LINEAGE, ca, attempts)
    assert (ordered.order.status, ordered.authorizations) == (status, ())
    assert ca.calls == [f"read {FIRST}"]


@pytest.mark.parametrize("status", [Status.INVALID, Status.EXPIRED, Status.DEACTIVATED, Status.REVOKED])
async def test_lost_order_makes_a_new_one_with_a_new_key(
    ca: FakeAuthority, attempts: SqliteAttempts, status: Status
) -> None:
    first, _ = await order(LINEAGE, ca, attempts)
    ca.set_order(FIRST, status)
    again, ordered = await order(LINEAGE, ca, attempts)
    assert ordered.order.url == SECOND
    assert again.certificate_key_pem != first.certificate_key_pem
    assert await attempts.read_attempt("web") == again.with_order(ca.orders[SECOND].order)


async def test_order_that_the_ca_forgot_makes_a_new_one(ca: FakeAuthority, attempts: SqliteAttempts) -> None:
    await order(LINEAGE, ca, attempts)
    ca.script(FIRST, None)
    _, ordered = await order(LINEAGE, ca, attempts)
    assert ordered.order.url == SECOND


@pytest.mark.parametrize("status", [Status.INVALID, Status.EXPIRED, Status.DEACTIVATED, Status.REVOKED])
async def test_pending_order_with_a_dead_authorization_makes_a_new_one(
    ca: FakeAuthority, attempts: SqliteAttempts, status: Status
) -> None:
    _, ordered = await order(LINEAGE, ca, attempts)
    ca.set_authorization(ordered.authorizations[1].url, status)
    _, again = await order(LINEAGE, ca, attempts)
    assert again.order.url == SECOND


@pytest.mark.parametrize(
    "changed",
    [Lineage("web", (A, C)), Lineage("web", (A,)), Lineage("web", (A, B, C))],
    ids=["other", "fewer", "more"],
)
async def test_changed_identifiers_make_a_new_order(
    ca: FakeAuthority, attempts: SqliteAttempts, changed: Lineage
) -> None:
    await order(LINEAGE, ca, attempts)
    attempt, ordered = await order(changed, ca, attempts)
    assert ordered.order.url == SECOND
    assert attempt.identifiers == changed.identifiers


async def test_another_ca_gets_an_order_of_its_own(clock: FakeClock, attempts: SqliteAttempts) -> None:
    first, other = FakeAuthority(clock), FakeAuthority(clock, "https://other.example/directory")
    await order(LINEAGE, first, attempts)
    attempt, _ = await order(LINEAGE, other, attempts)
    assert other.calls[0] == "newOrder"
    assert attempt.directory_url == other.directory_url


async def test_attempt_without_an_order_makes_a_new_one(ca: FakeAuthority, attempts: SqliteAttempts) -> None:
    ca.new_order_error = OrderError("newOrder: no answer from the CA")
    with pytest.raises(OrderError, match="no answer"):
        await order(LINEAGE, ca, attempts)
    first = await attempts.read_attempt("web")
    ca.new_order_error = None
    attempt, _ = await order(LINEAGE, ca, attempts)
    assert first is not None
    assert attempt.certificate_key_pem != first.certificate_key_pem


async def test_order_url_is_recorded_even_when_cancelled(ca: FakeAuthority, attempts: SqliteAttempts) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        asked.set()
        await go_on.wait()

    ca.at_new_order = wait
    ordering = asyncio.create_task(order(LINEAGE, ca, attempts))
    await asked.wait()
    ordering.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await ordering
    found = await attempts.read_attempt("web")
    assert found is not None
    assert found.order_url == FIRST


async def test_immediately_invalid_order_is_reported_with_the_cas_detail(
    ca: FakeAuthority, attempts: SqliteAttempts
) -> None:
    problem = Problem(f"{ERROR_PREFIX}rejectedIdentifier", "policy forbids", 400)

    async def spoil() -> None:
        ca.set_order(FIRST, Status.INVALID, problem)

    ca.at_new_order = spoil
    with pytest.raises(OrderError, match=r"rejectedIdentifier \(HTTP 400\): policy forbids") as caught:
        await order(LINEAGE, ca, attempts)
    assert (caught.value.problem, caught.value.retry) == (problem, Retry.LATER)


async def test_order_with_valid_authorizations_is_ready_at_once(ca: FakeAuthority, attempts: SqliteAttempts) -> None:
    _, ordered = await order(LINEAGE, ca, attempts)
    for one in ordered.authorizations:
        ca.set_authorization(one.url, Status.VALID)
    await attempts.forget_attempt("web")
    ca.reuse_valid = True
    _, again = await order(LINEAGE, ca, attempts)
    assert (again.order.url, again.order.status) == (SECOND, Status.READY)


@pytest.mark.parametrize("key_type", [KeyType.ECDSA_P384, KeyType.RSA_2048])
async def test_key_has_the_requested_type(ca: FakeAuthority, attempts: SqliteAttempts, key_type: KeyType) -> None:
    attempt, _ = await order(replace(LINEAGE, key_type=key_type), ca, attempts)
    key = load_pem_private_key(attempt.certificate_key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    assert key.key_size == {KeyType.ECDSA_P384: 384, KeyType.RSA_2048: 2048}[key_type]


@pytest.mark.parametrize("status", [400, 401, 410])
@pytest.mark.parametrize("what", [FIRST, f"{BASE}/authz/100"], ids=["order", "authorization"])
async def test_unreadable_order_or_authorization_makes_a_new_order(
    ca: FakeAuthority, attempts: SqliteAttempts, what: str, status: int
) -> None:
    await order(LINEAGE, ca, attempts)
    ca.script(what, OrderError("not yours", problem=Problem(f"{ERROR_PREFIX}malformed", "", status)))
    _, ordered = await order(LINEAGE, ca, attempts)
    assert ordered.order.url == SECOND


@pytest.mark.parametrize("problem", [None, Problem("", "", 429), Problem("", "", 503)], ids=["away", "limits", "busy"])
async def test_temporarily_unreadable_order_is_kept(
    ca: FakeAuthority, attempts: SqliteAttempts, problem: Problem | None
) -> None:
    first, _ = await order(LINEAGE, ca, attempts)
    ca.script(FIRST, OrderError("later", problem=problem))
    with pytest.raises(OrderError, match="later"):
        await order(LINEAGE, ca, attempts)
    assert await attempts.read_attempt("web") == first.with_order(ca.orders[FIRST].order)


def with_extra(ca: FakeAuthority, *urls: str) -> None:
    """Make the CA name more authorizations in its next order."""

    async def add() -> None:
        placed = ca.orders[FIRST].order
        ca.orders[FIRST].order = replace(placed, authorization_urls=(*placed.authorization_urls, *urls))

    ca.at_new_order = add


async def test_order_with_more_authorizations_than_identifiers_is_refused_before_any_is_read(
    ca: FakeAuthority, attempts: SqliteAttempts
) -> None:
    with_extra(ca, *[f"{BASE}/authz/{number}" for number in range(2_000)])
    with pytest.raises(OrderError, match="it has 2002 authorizations for 2 identifiers") as caught:
        await order(LINEAGE, ca, attempts)
    assert caught.value.retry is Retry.LATER
    assert [call for call in ca.calls if "authz" in call] == []


async def test_authorization_for_another_identifier_is_refused(ca: FakeAuthority, attempts: SqliteAttempts) -> None:
    async def swap() -> None:
        ca.authorizations[f"{BASE}/authz/101"] = replace(ca.authorizations[f"{BASE}/authz/101"], identifier=C)

    ca.at_new_order = swap
    with pytest.raises(OrderError, match=r"it has an authorization for c\.example, which we did not order"):
        await order(LINEAGE, ca, attempts)


async def test_unusable_order_is_not_resumed(ca: FakeAuthority, attempts: SqliteAttempts) -> None:
    with_extra(ca, f"{BASE}/authz/7")
    with pytest.raises(OrderError, match="3 authorizations for 2 identifiers"):
        await order(LINEAGE, ca, attempts)
    ca.at_new_order = nothing
    _, ordered = await order(LINEAGE, ca, attempts)
    assert ordered.order.url == SECOND


async def nothing() -> None:
    """The CA adds nothing."""


async def test_cancelled_while_it_prepares_an_order_ends_at_once(ca: FakeAuthority, attempts: SqliteAttempts) -> None:
    """A CA whose name does not resolve must not delay Ctrl-C; only newOrder itself is waited for."""
    reached = asyncio.Event()

    async def hang() -> None:
        reached.set()
        await asyncio.Event().wait()

    ca.at_prepare = hang
    placing = asyncio.create_task(order(LINEAGE, ca, attempts))
    await reached.wait()
    placing.cancel()
    done, _ = await asyncio.wait([placing], timeout=60)
    assert done == {placing}
    assert "newOrder" not in ca.calls
