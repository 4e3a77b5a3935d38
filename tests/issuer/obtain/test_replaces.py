"""order: the `replaces` field of a new order (RFC 9773 section 5), and CAs that refuse it."""

from collections.abc import Sequence

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.fakes_obtain import BASE, FakeAuthority
from tests.issuer.obtain.ordering import order
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.model import Lineage, Order
from wellkeeper_issuer.obtain.order import Terms
from wellkeeper_issuer.ports.state import Attempts
from wellkeeper_node.model import ERROR_PREFIX, Identifier, Problem

LINEAGE = Lineage("web", (dns("a.example"),))
PREDECESSOR = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"


class Refusing(FakeAuthority):
    """A CA that refuses orders with `replaces`."""

    def __init__(self, clock: FakeClock, name: str) -> None:
        super().__init__(clock)
        self._problem = Problem(f"{ERROR_PREFIX}{name}", "not this one")

    async def new_order(self, identifiers: Sequence[Identifier], profile: str | None, replaces: str | None) -> Order:
        if replaces is not None:
            self.replaced.append(replaces)
            raise OrderError(f"newOrder: {self._problem}", problem=self._problem)
        return await super().new_order(identifiers, profile, replaces)


class Reserved:
    """Fake `Terms.reserve` that records its arguments."""

    def __init__(self) -> None:
        self.reported: list[bool] = []

    async def reserve(self, *, replaces: bool) -> None:
        self.reported.append(replaces)


async def test_predecessor_is_named(clock: FakeClock, attempts: Attempts) -> None:
    ca, reserved = FakeAuthority(clock), Reserved()
    await order(LINEAGE, ca, attempts, Terms(PREDECESSOR, reserved.reserve))
    assert (ca.replaced, reserved.reported) == ([PREDECESSOR], [True])


@pytest.mark.parametrize("name", ["alreadyReplaced", "conflict", "unauthorized", "malformed", "serverInternal"])
async def test_refused_predecessor_is_left_out_in_one_more_order(
    clock: FakeClock, attempts: Attempts, name: str
) -> None:
    ca, reserved = Refusing(clock, name), Reserved()
    attempt, ordered = await order(LINEAGE, ca, attempts, Terms(PREDECESSOR, reserved.reserve))
    assert (ca.replaced, reserved.reported) == ([PREDECESSOR, None], [True, False])
    assert ordered.order.url == f"{BASE}/order/1"
    assert (await attempts.read_attempt("web") or attempt).order_url == ordered.order.url


async def test_other_refusals_do_not_cause_a_second_order(clock: FakeClock, attempts: Attempts) -> None:
    ca = Refusing(clock, "rateLimited")
    with pytest.raises(OrderError, match="rateLimited"):
        await order(LINEAGE, ca, attempts, Terms(PREDECESSOR, Reserved().reserve))
    assert ca.replaced == [PREDECESSOR]


async def test_order_that_replaces_is_resumed_and_not_placed_again(clock: FakeClock, attempts: Attempts) -> None:
    ca = FakeAuthority(clock)
    _, first = await order(LINEAGE, ca, attempts, Terms(PREDECESSOR))
    _, again = await order(LINEAGE, ca, attempts, Terms(PREDECESSOR))
    assert again.order.url == first.order.url
    assert ca.replaced == [PREDECESSOR]
