"""A CA that suggests for every certificate that it be renewed now."""

import logging
from datetime import timedelta

import pytest

from tests.fakes import FakeClock
from tests.issuer.hosts import LINEAGES, Host
from wellkeeper_issuer.records import Limit, NoRenewalInfo, RenewalInfo, Scope, Spent, Window
from wellkeeper_issuer.reports import Mode

WEB = LINEAGES[:1]
DAY = timedelta(days=1)


@pytest.fixture(name="host")
def _host(host: Host) -> Host:
    """Its nginx names that certificate only."""
    host.nginx.needed = {"a"}
    return host


async def orders(host: Host, passes: int, seconds: float) -> int:
    """Return how many orders that many scheduled passes make, with so much time between them."""
    count = 0
    for _ in range(passes):
        await host.run(WEB, mode=Mode.SCHEDULED)
        count += host.ca.calls.count("newOrder")
        host.wait(seconds)
    return count


def always_over(clock: FakeClock) -> RenewalInfo:
    return RenewalInfo(Window(clock.now() - 400 * DAY, clock.now() - 399 * DAY))


async def test_window_in_the_past_renews_once_and_is_reported_after_that(
    host: Host, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    host.infos.answer = always_over(clock)
    with caplog.at_level(logging.WARNING):
        assert await orders(host, 20, 30) == 2
    assert [one for one in caplog.messages if "certificate a: the CA suggests an early renewal again" in one]
    assert len(caplog.messages) == 1


async def test_early_renewals_become_rare(host: Host, clock: FakeClock) -> None:
    """Let's Encrypt issues five certificates for the same names in seven days."""
    host.infos.answer = always_over(clock)
    assert await orders(host, 7 * 24, 3600) == 4
    assert await orders(host, 30 * 24, 3600) == 3


async def test_window_that_moves_along_with_the_clock_renews_no_oftener(host: Host, clock: FakeClock) -> None:
    count = 0
    for _ in range(48):
        host.infos.answer = RenewalInfo(Window(clock.now() - DAY, clock.now() + DAY))
        count += await orders(host, 1, 3600)
    assert count <= 4


async def test_renewal_info_that_fails_after_the_issuance_makes_no_difference(host: Host, clock: FakeClock) -> None:
    host.infos.answer = always_over(clock)
    await orders(host, 1, 30)
    host.infos.answer = NoRenewalInfo("busy", is_passing=True)
    assert await orders(host, 1, 3600) == 1
    host.infos.answer = always_over(clock)
    assert await orders(host, 10, 3600) == 0


async def test_early_renewals_after_the_first_count_for_the_limits(host: Host, clock: FakeClock) -> None:
    host.authorities.limited[host.ca.directory_url] = (Limit(Spent.CERTIFICATE, Scope.EXACT_SET, 100, 7 * 86_400),)
    for _ in range(48):
        host.infos.answer = RenewalInfo(Window(clock.now() - DAY, clock.now() + DAY))
        await orders(host, 1, 3600)
    uses = await host.state.ledger.read_values(host.ca.directory_url, clock.now() - 30 * DAY)
    ((counted, exempt),) = [(counted, exempt) for spent, _, _, counted, exempt in uses if spent is Spent.CERTIFICATE]
    assert (counted, exempt) == (2, 1)  # the first certificate and the second early renewal; the first is exempt
