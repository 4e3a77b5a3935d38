"""Small limits of a CA for tests, and orders that count against them."""

from collections.abc import Sequence

import pytest

from tests.fakes_deliver import dns
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.limits import Limits
from wellkeeper_issuer.records import Limit, Scope, Spent

CA = "https://ca.example/directory"
OTHER_CA = "https://other.example/directory"
DAY, HOUR = 86_400.0, 3600.0
ORDERS = Limit(Spent.ORDER, Scope.ACCOUNT, 3, HOUR, exempts_renewals=True)
PER_DOMAIN = Limit(Spent.CERTIFICATE, Scope.REGISTERED_DOMAIN, 3, 7 * DAY, exempts_renewals=True)
PER_SET = Limit(Spent.CERTIFICATE, Scope.EXACT_SET, 3, 7 * DAY)
FAILED = Limit(Spent.FAILED_VALIDATION, Scope.IDENTIFIER, 3, HOUR)


def registered_domain(value: str) -> str:
    return ".".join(value.split(".")[-2:])


def lineage(*names: str) -> Lineage:
    return Lineage(names[0], tuple(map(dns, names)))


WWW = lineage("www.example.org", "example.org")


async def issue(limits: Limits, rules: Sequence[Limit], one: Lineage, *, is_renewal: bool = False) -> None:
    await limits.reserve(CA, rules, one, is_renewal=is_renewal)
    await limits.book_certificate(CA, rules, one)


async def refused(limits: Limits, rules: Sequence[Limit], one: Lineage) -> OrderError:
    with pytest.raises(OrderError) as caught:
        await limits.reserve(CA, rules, one)
    return caught.value
