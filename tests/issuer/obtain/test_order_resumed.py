"""order: what is resumed, and what is replaced, when the CA's replies are incomplete or cannot be read."""

from dataclasses import replace

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.fakes_obtain import BASE, FakeAuthority
from tests.issuer.obtain.ordering import order
from wellkeeper_issuer.errors import UnusableAuthorizationError, UnusableOrderError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.state.attempts import SqliteAttempts
from wellkeeper_node.errors import WellkeeperError

LINEAGE = Lineage("web", (dns("a.example"), dns("b.example")))
FIRST = f"{BASE}/order/1"
SECOND = f"{BASE}/order/2"


@pytest.fixture
def ca(clock: FakeClock) -> FakeAuthority:
    return FakeAuthority(clock)


@pytest.mark.parametrize(
    ("what", "error"),
    [
        (FIRST, UnusableOrderError("cannot read it")),
        (f"{BASE}/authz/100", UnusableAuthorizationError("cannot read it")),
    ],
    ids=["order", "authorization"],
)
async def test_order_with_a_reply_that_cannot_be_read_is_not_resumed(
    ca: FakeAuthority, attempts: SqliteAttempts, what: str, error: WellkeeperError
) -> None:
    await order(LINEAGE, ca, attempts)
    ca.script(what, error)
    _, ordered = await order(LINEAGE, ca, attempts)
    assert ordered.order.url == SECOND


async def test_urls_of_new_order_complete_an_order_that_lacks_them_when_read_again(
    ca: FakeAuthority, attempts: SqliteAttempts
) -> None:
    _, placed = await order(LINEAGE, ca, attempts)
    ca.script(FIRST, replace(placed.order, authorization_urls=(), finalize_url=""))
    assert (await order(LINEAGE, ca, attempts))[1] == placed


async def test_order_without_any_url_to_finalize_it_is_not_resumed(ca: FakeAuthority, attempts: SqliteAttempts) -> None:
    attempt, placed = await order(LINEAGE, ca, attempts)
    bare = replace(placed.order, finalize_url="")
    await attempts.record_attempt(attempt.with_order(bare))
    ca.script(FIRST, bare)
    _, ordered = await order(LINEAGE, ca, attempts)
    assert ordered.order.url == SECOND
