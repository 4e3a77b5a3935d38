"""The cost of certificates: what they would use of the limits of a CA."""

from datetime import timedelta

from tests.fakes import FakeClock
from tests.issuer.obtain.limited import CA, FAILED, ORDERS, PER_DOMAIN, PER_SET, WWW, issue, lineage
from wellkeeper_issuer.obtain.limits import Limits

RULES = (ORDERS, PER_DOMAIN, PER_SET, FAILED)
MAIL = lineage("mail.example.org")


async def test_renewals_use_only_limits_that_count_them(limits: Limits) -> None:
    await issue(limits, RULES, WWW)
    found = await limits.costs(CA, RULES, {WWW: True})
    assert [(one.limit, one.used, one.needed) for one in found] == [(PER_SET, 1, 1)]
    assert str(found[0]) == (
        "3 certificates per exact set (example.org,www.example.org) in 7 days: 1 used, this takes 1"
    )


async def test_other_certificates_use_all_limits_the_least_left_first(limits: Limits, clock: FakeClock) -> None:
    for _ in range(2):
        await issue(limits, RULES, WWW)
        clock.advance(60)
    found = await limits.costs(CA, RULES, {WWW: False, MAIL: False})
    assert [(one.limit, one.value, one.used, one.needed) for one in found] == [
        (ORDERS, "", 2, 2),
        (PER_DOMAIN, "example.org", 2, 2),
        (PER_SET, "example.org,www.example.org", 2, 1),
        (PER_SET, "mail.example.org", 0, 1),
    ]
    assert found[0].free_at == clock.now() - timedelta(minutes=2) + timedelta(hours=1)
    assert str(found[0]) == (
        "3 orders per account in 1 hour: 2 used, the first until 2026-03-01 13:00 UTC; this takes 2, so not all of them"
        " come at once"
    )
