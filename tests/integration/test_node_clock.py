"""A node whose clock is off: by ten minutes it works and says so; by an hour it says why it does not, and recovers."""

from datetime import timedelta
from pathlib import Path

import pytest

from stand.other_clock import OtherClock
from tests.fakes_deliver import dns
from tests.integration.node_hosts import LINEAGE, NAME, NodeHost, node_host, status_with
from tests.keys import certificate_key
from tests.node.agent.made import JTI, holds
from tests.responder.messages import OTHER_TOKEN, TOKEN
from wellkeeper_node.agent.report import CertificateState, Report
from wellkeeper_node.model import KeyType, Pair

pytestmark = pytest.mark.integration

OTHER_JTI = "p-0000000000000002"
TEN_MINUTES, HOUR = 598, 3720
# As long as those of the issuer.
LIFETIME = 1800


def state(report: Report) -> CertificateState | None:
    found = report.certificates.get(LINEAGE)
    return found.state if found else None


def is_served(report: Report, number: int = 1) -> bool:
    return state(report) is CertificateState.SERVED and report.certificates[LINEAGE].number == number


def names_the_clock(words: str | None, ahead_seconds: int) -> bool:
    return f"s {'ahead of' if ahead_seconds > 0 else 'behind'} the relay's; synchronize the clocks" in (words or "")


def new_pair(host: NodeHost) -> Pair:
    """Return a certificate that is valid from now on, as those of a CA that dates none back."""
    key, ca = certificate_key(KeyType.ECDSA_P256), host.issuer.ca
    (_, _, intermediate) = ca.chain(key, dns(NAME)).partition(b"-----END CERTIFICATE-----\n")
    return Pair(key, ca.leaf(key, dns(NAME), starts_in=timedelta()) + intermediate)


@pytest.mark.parametrize("ahead_seconds", [TEN_MINUTES, -TEN_MINUTES])
async def test_clock_that_is_off_by_ten_minutes_is_named_and_everything_works(folder: Path, ahead_seconds: int) -> None:
    clock = OtherClock(folder, ahead_seconds)
    async with node_host(folder, clock.environment) as host, host.agent() as agent:
        await host.issuer.publish(TOKEN, JTI, seconds=LIFETIME)
        leaf = await host.issuer.deliver(1, new_pair(host))
        report = await host.issuer.report(lambda one: holds(one) and is_served(one))
        assert names_the_clock(report.concern, ahead_seconds), report.concern
        assert await host.served() == leaf
        shown = await status_with(
            lambda shown: names_the_clock(shown, ahead_seconds), agent, environment=clock.environment
        )
        assert shown.exit_code == 1, shown.output
        clock.set(0)
        await host.issuer.publish(OTHER_TOKEN, OTHER_JTI, seconds=LIFETIME)
        await host.issuer.report(lambda one: holds(one, OTHER_JTI) and one.concern is None)


async def test_clock_that_is_an_hour_ahead_is_named_and_right_again_nothing_is_lost(folder: Path) -> None:
    clock = OtherClock(folder, HOUR)
    async with node_host(folder, clock.environment) as host, host.agent() as agent:
        await host.issuer.publish(TOKEN, JTI, seconds=LIFETIME)
        leaf = await host.issuer.deliver(1)
        report = await host.issuer.report(is_served)
        assert names_the_clock(report.concern, HOUR), report.concern
        assert report.publications == {}
        assert "by the clock of this machine" in agent.log
        clock.set(0)
        await host.issuer.publish(OTHER_TOKEN, OTHER_JTI, seconds=LIFETIME)
        newest = await host.issuer.deliver(2)
        await host.issuer.report(lambda one: holds(one, OTHER_JTI) and is_served(one, 2))
        assert leaf != newest == await host.served()


async def test_clock_that_is_an_hour_behind_is_named_and_right_again_nothing_is_lost(folder: Path) -> None:
    clock = OtherClock(folder, -HOUR)
    async with node_host(folder, clock.environment) as host, host.agent():
        before = await host.served()
        await host.issuer.publish(TOKEN, JTI, seconds=LIFETIME)
        leaf = await host.issuer.deliver(1, new_pair(host))
        report = await host.issuer.report(lambda one: JTI in one.publications and state(one) is CertificateState.FAILED)
        assert names_the_clock(report.concern, -HOUR), report.concern
        assert "clocks by NTP" in (report.publications[JTI].error or ""), report
        assert "is not valid yet" in (report.certificates[LINEAGE].cause or "")
        assert "clock" in report.certificates[LINEAGE].remedy
        assert await host.served() == before
        clock.set(0)
        await host.issuer.report(lambda one: holds(one) and is_served(one))
        assert await host.served() == leaf
