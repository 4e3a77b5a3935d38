"""A year of the daemon in simulated time, over 500 certificates of 6, 45, 64 and 90 days."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from tests.fakes_around import FakeHooks, FakeNotifications
from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import dns
from tests.fakes_obtain import FakeProgress
from tests.fakes_ownership import FakeHeld
from tests.fakes_state import FakeState
from tests.simulated.year import (
    DIRECTORY,
    Expiry,
    OneAuthority,
    WorkingNginx,
    WorkingResponders,
    YearCa,
    domain_of,
    has_ari,
)
from tests.virtual_time import VirtualClock, VirtualLoop
from wellkeeper_issuer.daemon import Daemon, Sleep
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.learned_fetches import LearnedFetches
from wellkeeper_issuer.obtain.limits import Limits
from wellkeeper_issuer.obtain.publish import ReadBacks
from wellkeeper_issuer.obtain.reach import Locations
from wellkeeper_issuer.obtain.request import Requests
from wellkeeper_issuer.obtain.throttle import Throttle
from wellkeeper_issuer.outside.host.csr_files import CsrFolder
from wellkeeper_issuer.passes import Passes
from wellkeeper_issuer.renew import Renewals
from wellkeeper_issuer.status.certificate_status import read_rows, statuses
from wellkeeper_issuer.upkeep.follow_up import FollowUp
from wellkeeper_issuer.upkeep.planner import RenewalPlanner
from wellkeeper_issuer.upkeep.sources import Sources
from wellkeeper_node.deliver.batch import Deliveries, Pace
from wellkeeper_node.deliver.local import LocalDelivery

# Measuring coverage would more than double its time.
pytestmark = [pytest.mark.slow, pytest.mark.any_python, pytest.mark.no_cover, pytest.mark.timeout(1800)]

START = datetime(2027, 1, 15, 12, tzinfo=UTC)
YEAR = timedelta(days=365)
# The CA is down for two days: a certificate of six days has three left when it is due.
OUTAGE = (START + timedelta(days=200), START + timedelta(days=202))
LIFETIMES = {6: 10, 45: 160, 64: 160, 90: 170}


def lineages() -> list[Lineage]:
    """Return lineages, half of them below one registered domain, more than its limit allows in a week."""
    found = []
    for days, count in LIFETIMES.items():
        for number in range(count):
            domain = "big.example" if number % 2 else f"small{days}x{number}.example"
            name = f"d{days}-{number}.{domain}"
            found.append(Lineage(name, (dns(name),), directory_urls=(DIRECTORY,)))
    return found


class Year:
    """The daemon and its environment."""

    def __init__(self) -> None:
        state = FakeState()
        self.clock, random = VirtualClock(START), Random(7)  # noqa: S311 - the same year each time
        self.lineages, self.certificates = lineages(), FakeCertificates()
        self.ca, self.notifications = YearCa(self.clock, random, OUTAGE), FakeNotifications()
        self.nginx = WorkingNginx(self.certificates, {one.identifiers[0]: one.name for one in self.lineages})
        clock, certificates, progress = self.clock, self.certificates, FakeProgress()
        limits = Limits(state.ledger, clock, domain_of)
        renewals = Renewals(
            sources=Sources(OneAuthority(self.ca), limits, Throttle(10.0, clock), clock),
            planner=RenewalPlanner(state.schedules, self.ca, clock, progress, random.random),
            records=state,
            attempts=state.attempts,
            delivery_records=state.deliveries,
            responders=WorkingResponders(),
            read_backs=ReadBacks((), self.nginx, progress, None),
            learned_fetches=LearnedFetches(state.fetch_counts),
            locations=Locations((), self.nginx, None, clock),
            requests=Requests(certificates, CsrFolder()),
            certificates=certificates,
            nginx=self.nginx,
            clock=clock,
            progress=progress,
        )
        batch = Deliveries(self.nginx, certificates, state.deliveries, clock, progress, Pace(2.0, 10.0))
        passes = Passes(
            renewals,
            LocalDelivery(self.nginx, self.nginx, certificates, (("127.0.0.1", 443),), batch),
            FollowUp(state.schedules, state.notes, FakeHooks(), self.notifications, certificates, clock, random.random),
        )

        async def wake_times(some: Sequence[Lineage]) -> Mapping[str, datetime]:
            rows = await read_rows(state, [one.name for one in some])
            return {one.lineage: one.wake_at for one in statuses(some, certificates.live, rows, clock.now())}

        self.daemon = Daemon(passes, wake_times, clock, self.lineages, held=FakeHeld(), sleep=Sleep(1800.0, 3600.0))

    async def run(self) -> Expiry:
        expiry = Expiry(self.certificates, self.ca, self.clock)
        with suppress(TimeoutError):
            async with asyncio.timeout(YEAR.total_seconds()), asyncio.TaskGroup() as group:
                group.create_task(self.daemon.run())
                group.create_task(expiry.watch(timedelta(hours=3)))
        return expiry


def test_nothing_expires_and_no_limit_is_exceeded_in_a_year() -> None:
    async def live() -> tuple[Year, Expiry]:
        year = Year()
        return year, await year.run()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        year, expiry = runner.run(live())
    assert expiry.expired == set()
    assert year.ca.counted.broken == {}
    assert set(year.certificates.live) == {one.name for one in year.lineages}
    renewals = sum(count - 1 for name, count in year.ca.issued.items() if has_ari(name))
    assert year.ca.replaced_count > 0.9 * renewals
    # 365 days in parts of two thirds (or half) of the lifetime, except for the weeks that the limit cost at the start.
    for days, most in ((6, 124), (45, 14), (64, 10), (90, 8)):
        counts = [year.ca.issued[one.name] for one in year.lineages if one.name.startswith(f"d{days}-")]
        assert 0.75 * most <= sum(counts) / len(counts) <= most
