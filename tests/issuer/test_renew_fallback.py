"""A renewal with several CAs: the one that issues, and the error that decides on the retry."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes import FakeClock
from tests.fakes_around import FakeAuthorities, FakeInfos
from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import dns
from tests.fakes_obtain import FakeAuthority, FakeProgress, FakeReadBacks
from tests.issuer.hosts import RenewalParts, make_renewals, renew
from tests.node.nodes import Nodes
from wellkeeper_issuer.errors import ChallengeError, DeferredError, OrderError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.records import Blocked
from wellkeeper_issuer.renew import Renewals
from wellkeeper_issuer.reports import Mode
from wellkeeper_node.errors import Retry, WellkeeperError
from wellkeeper_node.model import Problem
from wellkeeper_node.steps import Steps

FIRST, SECOND = "https://first.example/directory", "https://second.example/directory"
LINEAGE = Lineage("web", (dns("a.example"),), directory_urls=(FIRST, SECOND))
AWAY = OrderError("no answer from the CA", retry=Retry.SOON)
REFUSED = OrderError("customers only", problem=Problem("unauthorized", ""), retry=Retry.NEVER)


@pytest.fixture
def cas(clock: FakeClock) -> tuple[FakeAuthority, FakeAuthority]:
    return FakeAuthority(clock, FIRST), FakeAuthority(clock, SECOND)


@pytest.fixture
def renewals(cas: tuple[FakeAuthority, FakeAuthority], state: State, nodes: Nodes, clock: FakeClock) -> Renewals:
    parts = RenewalParts(state, nodes, clock, FakeAuthorities(*cas), FakeInfos())
    return make_renewals(parts, FakeCertificates(), FakeReadBacks(), FakeProgress())


async def renew_web(renewals: Renewals, mode: Mode = Mode.SCHEDULED) -> None:
    await renew(renewals, LINEAGE, Steps("web", renewals.clock, renewals.progress), mode)


@pytest.mark.parametrize("error", [AWAY, REFUSED], ids=["away", "refused"])
async def test_second_ca_issues_and_the_first_is_preferred_next_time(
    renewals: Renewals, cas: tuple[FakeAuthority, FakeAuthority], clock: FakeClock, error: WellkeeperError
) -> None:
    first, second = cas
    first.new_order_error = error
    await renew_web(renewals)
    assert (first.calls, second.calls[0]) == (["newOrder"], "newOrder")
    second.calls.clear()
    first.new_order_error = None
    clock.advance(60)
    await renew_web(renewals)
    assert (first.replaced, second.calls) == ([None, None], [])


@pytest.mark.parametrize(
    ("errors", "raised"),
    [((AWAY, REFUSED), 0), ((REFUSED, AWAY), 1), ((REFUSED, REFUSED), 0)],
    ids=["the first one may come back", "the second one may come back", "neither will"],
)
async def test_most_promising_error_decides_on_the_retry(
    renewals: Renewals,
    cas: tuple[FakeAuthority, FakeAuthority],
    errors: tuple[WellkeeperError, WellkeeperError],
    raised: int,
) -> None:
    for ca, error in zip(cas, errors, strict=True):
        ca.new_order_error = error
    with pytest.raises(OrderError) as caught:
        await renew_web(renewals)
    assert caught.value is errors[raised]


async def test_temporary_block_takes_precedence_over_a_refusal(
    renewals: Renewals, cas: tuple[FakeAuthority, FakeAuthority], state: State, clock: FakeClock
) -> None:
    until = clock.now() + timedelta(minutes=10)
    await state.ledger.record_block(Blocked(FIRST, "", until, "it is away"))
    cas[1].new_order_error = REFUSED
    with pytest.raises(OrderError, match=r"^customers only: the CA is not asked before .* UTC: it is away$") as caught:
        await renew_web(renewals)
    # Not a mere deferral: the second CA's refusal must be remembered, or it would be asked in every pass.
    assert not isinstance(caught.value, DeferredError)
    assert (caught.value.retry_at, cas[0].calls) == (until, [])


async def test_validation_failure_is_not_retried_at_another_ca(
    renewals: Renewals, cas: tuple[FakeAuthority, FakeAuthority]
) -> None:
    cas[0].refused["a.example"] = Problem("connection", "timeout")
    with pytest.raises(ChallengeError):
        await renew_web(renewals)
    assert cas[1].calls == []


async def test_unpinned_ca_is_not_asked(renewals: Renewals, cas: tuple[FakeAuthority, FakeAuthority]) -> None:
    unusable = replace(renewals, sources=replace(renewals.sources, unusable={SECOND: "it is not pinned"}))
    cas[0].new_order_error = REFUSED
    with pytest.raises(OrderError, match="it is not pinned") as caught:
        await renew_web(unusable)
    assert (caught.value.retry, cas[1].calls) == (Retry.SOON, [])
