"""The ledger of limits over time: windows, clock changes, budgets, a month of orders."""

from datetime import datetime, timedelta

import pytest

from tests.fakes import FakeClock
from tests.fakes_state import FakeLedger
from tests.issuer.obtain.limited import (
    CA,
    DAY,
    HOUR,
    ORDERS,
    OTHER_CA,
    PER_SET,
    WWW,
    issue,
    lineage,
    refused,
    registered_domain,
)
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.limits import Limits
from wellkeeper_issuer.published_limits import LETS_ENCRYPT, LETS_ENCRYPT_STAGING, known_limits
from wellkeeper_issuer.records import Scope, Spent


@pytest.mark.parametrize("back", [60.0, 6 * DAY])
async def test_clock_set_back_neither_frees_orders_nor_blocks_them_forever(
    limits: Limits, clock: FakeClock, back: float
) -> None:
    for _ in range(2):
        await issue(limits, [PER_SET], WWW)
    clock.step(-back)
    error = await refused(limits, [PER_SET], WWW)
    assert f"free at {clock.now() + timedelta(days=7):%Y-%m-%d %H:%M} UTC" in str(error)
    clock.advance(14 * DAY)
    await limits.reserve(CA, [PER_SET], WWW)


async def test_bookings_from_far_in_the_future_are_ignored(limits: Limits, clock: FakeClock) -> None:
    for _ in range(2):
        await issue(limits, [PER_SET], WWW)
    clock.step(-3650 * DAY)
    await limits.reserve(CA, [PER_SET], WWW)


async def test_budgets_list_the_lowest_remainders_first(limits: Limits, clock: FakeClock) -> None:
    rules = [ORDERS, PER_SET]
    first_at = clock.now()
    await issue(limits, rules, lineage("old.example.org"))
    clock.advance(2 * HOUR)
    for _ in range(2):
        await issue(limits, rules, WWW)
    await issue(limits, rules, lineage("exempt.example.org"), is_renewal=True)
    second_at = clock.now()
    found = await limits.budgets(CA, rules)
    assert [(one.limit, one.value, one.left, one.free_at) for one in found] == [
        (PER_SET, "example.org,www.example.org", 1, second_at + timedelta(days=7)),
        (ORDERS, "", 1, second_at + timedelta(hours=1)),
        (PER_SET, "exempt.example.org", 2, second_at + timedelta(days=7)),
        (PER_SET, "old.example.org", 2, first_at + timedelta(days=7)),
    ]
    assert await limits.budgets(CA, rules, at_most=1) == found[:1]
    assert await limits.budgets(OTHER_CA, rules) == []


async def test_budgets_ignore_bookings_from_far_in_the_future(limits: Limits, clock: FakeClock) -> None:
    await limits.reserve(CA, [ORDERS], WWW)
    clock.step(-3650 * DAY)
    assert await limits.budgets(CA, [ORDERS]) == []


async def test_uses_older_than_every_window_are_forgotten(limits: Limits, ledger: FakeLedger, clock: FakeClock) -> None:
    await limits.reserve(CA, [ORDERS], WWW)
    clock.advance(2 * DAY)
    await limits.tidy([ORDERS, PER_SET])
    assert len(ledger.uses) == 1
    clock.advance(1)
    await limits.tidy([ORDERS])
    assert ledger.uses == []


def test_limits_of_lets_encrypt_are_known_and_other_cas_have_none() -> None:
    assert known_limits("https://acme-v02.api.letsencrypt.org/directory") == LETS_ENCRYPT
    assert known_limits("https://acme-staging-v02.api.letsencrypt.org/directory") == LETS_ENCRYPT_STAGING
    assert known_limits(CA) == ()


@pytest.mark.slow
async def test_year_of_certificates_of_one_domain_never_breaks_a_limit(ledger: FakeLedger, clock: FakeClock) -> None:
    """Request two hundred names at once: by the CA's count, the ledger never exceeds the limit."""
    limits = Limits(ledger, clock, registered_domain)
    waiting: dict[Lineage, datetime] = {lineage(f"{n}.example.org"): clock.now() for n in range(200)}
    for _ in range(40 * 24):
        for one in [one for one, at in waiting.items() if at <= clock.now()]:
            try:
                await issue(limits, LETS_ENCRYPT, one)
            except OrderError as error:
                waiting[one] = error.retry_at or clock.now()
            else:
                del waiting[one]
        clock.advance(HOUR)
    assert waiting == {}
    issued = [use.at for use in ledger.uses if use.spent is Spent.CERTIFICATE and use.scope is Scope.REGISTERED_DOMAIN]
    week = timedelta(days=7)
    assert max(sum(start <= at < start + week for at in issued) for start in issued) == 49
