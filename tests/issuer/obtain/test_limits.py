"""Limits on orders: booking, waiting and exemptions."""

import asyncio
from datetime import timedelta

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.fakes_state import FakeLedger
from tests.issuer.obtain.limited import (
    CA,
    DAY,
    FAILED,
    HOUR,
    ORDERS,
    OTHER_CA,
    PER_DOMAIN,
    PER_SET,
    WWW,
    issue,
    lineage,
    refused,
)
from wellkeeper_issuer.errors import ChallengeError, DeferredError, OrderError
from wellkeeper_issuer.obtain.limits import Limits
from wellkeeper_issuer.records import Limit, Scope, Spent
from wellkeeper_node.errors import Retry


async def test_last_order_is_held_in_reserve(limits: Limits, clock: FakeClock) -> None:
    first_at = clock.now()
    await limits.reserve(CA, [ORDERS], WWW)
    clock.advance(60)
    await limits.reserve(CA, [ORDERS], WWW)
    error = await refused(limits, [ORDERS], WWW)
    assert (error.retry, error.retry_at) == (Retry.LATER, first_at + timedelta(hours=1))
    assert str(error) == (
        "an order for www.example.org has to wait: the CA allows 3 orders per account in 1 hour, 2 used, the last one "
        "is held in reserve; the next one is free at 2026-03-01 13:00 UTC. "
        "Run 'wellkeeper renew NAME --force' to use the last one now."
    )


async def test_force_may_use_the_last_order_but_no_more(limits: Limits) -> None:
    for _ in range(3):
        await limits.reserve(CA, [ORDERS], WWW, may_use_last=True)
    with pytest.raises(OrderError, match="3 orders per account in 1 hour, and all are used; the next one is free at"):
        await limits.reserve(CA, [ORDERS], WWW, may_use_last=True)


async def test_order_is_free_again_exactly_at_the_reported_time(limits: Limits, clock: FakeClock) -> None:
    for _ in range(2):
        await limits.reserve(CA, [ORDERS], WWW)
        clock.advance(600)
    error = await refused(limits, [ORDERS], WWW)
    assert error.retry_at is not None
    clock.advance((error.retry_at - clock.now()).total_seconds() - 1)
    assert (await refused(limits, [ORDERS], WWW)).retry_at == error.retry_at
    clock.advance(1)
    await limits.reserve(CA, [ORDERS], WWW)


async def test_refused_order_is_not_booked(limits: Limits, ledger: FakeLedger) -> None:
    for _ in range(2):
        await limits.reserve(CA, [ORDERS], WWW)
    await refused(limits, [ORDERS], WWW)
    assert len(ledger.uses) == 2


async def test_limit_of_one_order_can_be_used(limits: Limits) -> None:
    one = Limit(Spent.ORDER, Scope.ACCOUNT, 1, HOUR)
    await limits.reserve(CA, [one], WWW)
    assert "and all are used" in str(await refused(limits, [one], WWW))


async def test_every_limit_counts_and_the_last_one_to_free_up_is_named(limits: Limits, clock: FakeClock) -> None:
    rules = [ORDERS, PER_SET]
    for _ in range(2):
        await issue(limits, rules, WWW)
    error = await refused(limits, rules, WWW)
    # Names and limits may change meanwhile, so it is computed again before the week is over.
    assert error.retry_at == clock.now() + timedelta(hours=6)
    assert f"free at {clock.now() + timedelta(days=7):%Y-%m-%d %H:%M} UTC" in str(error)
    assert "3 certificates per exact set (example.org,www.example.org) in 7 days, 2 used" in str(error)


async def test_deferred_order_is_checked_again_at_the_next_turning_point(limits: Limits, clock: FakeClock) -> None:
    for _ in range(2):
        await issue(limits, [PER_SET], WWW)
    past, soon = clock.now() - timedelta(hours=1), clock.now() + timedelta(hours=1)
    with pytest.raises(DeferredError) as caught:
        await limits.reserve(CA, [PER_SET], WWW, turning_points=(past, soon))
    assert caught.value.retry_at == soon
    blocked = await limits.blocked(CA, WWW.name)
    assert blocked is not None
    assert blocked.until == soon


async def test_each_ca_has_limits_of_its_own(limits: Limits) -> None:
    for _ in range(2):
        await limits.reserve(CA, [ORDERS], WWW)
    await limits.reserve(OTHER_CA, [ORDERS], WWW)


async def test_registered_domain_counts_certificates_of_all_its_names(limits: Limits) -> None:
    await issue(limits, [PER_DOMAIN], lineage("a.example.org", "a.example.net"))
    await issue(limits, [PER_DOMAIN], lineage("b.example.org", "c.example.org"))
    assert "per registered domain (example.org) in 7 days" in str(
        await refused(limits, [PER_DOMAIN], lineage("d.example.org"))
    )
    await limits.reserve(CA, [PER_DOMAIN], lineage("d.example.net"))


async def test_renewals_do_not_count_where_the_ca_exempts_them(limits: Limits, ledger: FakeLedger) -> None:
    for _ in range(5):
        await issue(limits, [ORDERS, PER_DOMAIN], WWW, is_renewal=True)
    assert [use.is_exempt for use in ledger.uses] == [True] * 10
    await issue(limits, [ORDERS, PER_DOMAIN], lineage("new.example.org"))


async def test_renewals_count_against_the_exact_set(limits: Limits) -> None:
    for _ in range(2):
        await issue(limits, [PER_SET], WWW, is_renewal=True)
    with pytest.raises(OrderError, match="per exact set"):
        await limits.reserve(CA, [PER_SET], WWW, is_renewal=True)


async def test_replacement_inside_the_window_is_exempt_and_never_deferred(limits: Limits, ledger: FakeLedger) -> None:
    for _ in range(2):
        await issue(limits, [ORDERS, PER_SET], WWW)
    for _ in range(5):
        await limits.reserve(CA, [ORDERS, PER_SET], WWW, is_exempt=True)
        await limits.book_certificate(CA, [ORDERS, PER_SET], WWW)
    assert [use.is_exempt for use in ledger.uses] == [False] * 4 + [True] * 10


@pytest.mark.parametrize("rule", [ORDERS, PER_DOMAIN], ids=["orders", "certificates"])
async def test_concurrent_orders_do_not_exceed_the_limit(limits: Limits, rule: Limit) -> None:
    several = [lineage(f"{n}.example.org") for n in range(8)]
    results = await asyncio.gather(*(limits.reserve(CA, [rule], one) for one in several), return_exceptions=True)
    assert [result is None for result in results] == [True] * 2 + [False] * 6


async def test_failed_order_returns_its_reservation(limits: Limits) -> None:
    for name in ("a", "b"):
        await limits.reserve(CA, [PER_DOMAIN], lineage(f"{name}.example.org"))
    await refused(limits, [PER_DOMAIN], lineage("c.example.org"))
    await limits.learn(CA, [PER_DOMAIN], "a.example.org", ChallengeError("wrong answer"))
    await limits.reserve(CA, [PER_DOMAIN], lineage("c.example.org"))


async def test_unreturned_reservation_expires_after_an_hour(limits: Limits, clock: FakeClock) -> None:
    for name in ("a", "b"):
        await limits.reserve(CA, [PER_DOMAIN], lineage(f"{name}.example.org"))
    clock.advance(HOUR)
    await limits.reserve(CA, [PER_DOMAIN], lineage("c.example.org"))


async def test_retry_of_the_same_certificate_replaces_its_reservation(limits: Limits) -> None:
    two = Limit(Spent.CERTIFICATE, Scope.EXACT_SET, 2, 7 * DAY)
    for _ in range(5):
        await limits.reserve(CA, [two], WWW)


async def test_uncounted_orders_in_progress_reserve_nothing(limits: Limits) -> None:
    for n in range(3):
        await limits.reserve(OTHER_CA, [PER_DOMAIN], lineage(f"a{n}.example.org"), may_use_last=True)
        await limits.reserve(CA, [PER_DOMAIN], lineage(f"b{n}.example.org"), is_renewal=True)
        await limits.reserve(CA, [PER_DOMAIN], lineage(f"c{n}.example.org"), is_exempt=True)
    await limits.reserve(CA, [PER_DOMAIN], lineage("new.example.org"))


async def test_certificate_of_an_order_from_before_a_restart_counts(limits: Limits, ledger: FakeLedger) -> None:
    await limits.book_certificate(CA, [ORDERS, PER_DOMAIN], WWW)
    assert [(use.spent, use.value, use.is_exempt) for use in ledger.uses] == [(Spent.CERTIFICATE, "example.org", False)]


async def test_failed_validations_defer_the_next_order_of_that_identifier(limits: Limits) -> None:
    error = ChallengeError("wrong answer")
    error.identifiers = (dns("www.example.org"),)
    for _ in range(2):
        await limits.learn(CA, [FAILED], WWW.name, error)
    assert "failed validations per identifier (www.example.org) in 1 hour" in str(await refused(limits, [FAILED], WWW))
    await limits.reserve(CA, [FAILED], lineage("example.org"))


async def test_failed_validation_is_booked_once_per_scope_and_never_for_a_set(
    limits: Limits, ledger: FakeLedger
) -> None:
    scopes = [Scope.ACCOUNT, Scope.EXACT_SET, Scope.IDENTIFIER, Scope.REGISTERED_DOMAIN]
    rules = [Limit(Spent.FAILED_VALIDATION, scope, 3, HOUR) for scope in scopes for _ in range(2)]
    await limits.book_failed_validation(CA, rules, [dns("www.example.org")])
    assert [(use.scope, use.value) for use in ledger.uses] == [
        (Scope.ACCOUNT, ""),
        (Scope.IDENTIFIER, "www.example.org"),
        (Scope.REGISTERED_DOMAIN, "example.org"),
    ]


async def test_two_windows_of_one_scope_share_a_row(limits: Limits, ledger: FakeLedger) -> None:
    rules = [Limit(Spent.ORDER, Scope.ACCOUNT, 100, DAY), ORDERS]
    await limits.reserve(CA, rules, WWW, is_renewal=True)
    assert [use.is_exempt for use in ledger.uses] == [False]


async def test_without_limits_nothing_is_booked(limits: Limits, ledger: FakeLedger) -> None:
    for _ in range(9):
        await issue(limits, [], WWW)
    assert ledger.uses == []


async def test_unreachable_ca_is_blocked_until_it_answers(limits: Limits, clock: FakeClock) -> None:
    await limits.learn(CA, [], WWW.name, OrderError("no answer"))
    blocked = await limits.blocked(CA, "other.example.org")
    assert blocked is not None
    assert blocked.until == clock.now() + timedelta(minutes=1)
    await limits.book_certificate(CA, [], WWW)
    assert await limits.blocked(CA, "other.example.org") is None


@pytest.mark.parametrize(
    ("seconds", "reported"), [(90.0, "90 s"), (60.0, "1 minute"), (3 * HOUR, "3 hours"), (DAY, "1 day"), (0.5, "0.5 s")]
)
async def test_window_is_described_in_words(limits: Limits, seconds: float, reported: str) -> None:
    rule = Limit(Spent.ORDER, Scope.ACCOUNT, 1, seconds)
    await limits.reserve(CA, [rule], WWW)
    assert f"per account in {reported}, and" in str(await refused(limits, [rule], WWW))


async def test_certificate_of_another_issuer_counts_once_with_its_order(limits: Limits, clock: FakeClock) -> None:
    rules = [ORDERS, PER_SET, FAILED]
    for _ in range(2):
        await limits.count_issued(CA, rules, WWW, clock.now() - timedelta(minutes=1))
    assert {(one.limit.spent, one.used) for one in await limits.budgets(CA, rules)} == {
        (Spent.ORDER, 1),
        (Spent.CERTIFICATE, 1),
    }
