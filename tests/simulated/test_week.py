"""A CA that is down for a week of simulated time with sixty due certificates: few requests, nothing lost."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

import pytest

from tests.fakes_around import FakeHooks, FakeNotifications
from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import dns
from tests.fakes_obtain import FakeProgress
from tests.fakes_ownership import FakeHeld
from tests.fakes_state import FakeState
from tests.simulated.year import DIRECTORY, OneAuthority, WorkingNginx, WorkingResponders, YearCa, domain_of
from tests.virtual_time import VirtualClock, VirtualLoop
from wellkeeper_issuer.daemon import Daemon, Sleep
from wellkeeper_issuer.errors import OrderError
from wellkeeper_issuer.model import Lineage, Order
from wellkeeper_issuer.obtain.learned_fetches import LearnedFetches
from wellkeeper_issuer.obtain.limits import Limits
from wellkeeper_issuer.obtain.publish import ReadBacks
from wellkeeper_issuer.obtain.reach import Locations
from wellkeeper_issuer.obtain.request import Requests
from wellkeeper_issuer.obtain.throttle import Throttle
from wellkeeper_issuer.outside.host.csr_files import CsrFolder
from wellkeeper_issuer.passes import Passes
from wellkeeper_issuer.records import Notice
from wellkeeper_issuer.renew import Renewals
from wellkeeper_issuer.status.certificate_status import read_rows, statuses
from wellkeeper_issuer.upkeep.follow_up import FollowUp
from wellkeeper_issuer.upkeep.planner import RenewalPlanner
from wellkeeper_issuer.upkeep.sources import Sources
from wellkeeper_node.deliver.batch import Deliveries, Pace
from wellkeeper_node.deliver.local import LocalDelivery
from wellkeeper_node.model import Identifier

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

START: Final = datetime(2027, 1, 15, 12, tzinfo=UTC)
# Lifetimes of 21 days: due after half a day of the week, and in their last twentieth before it ends. Those of
# 24 days are due in the week as well, but far from expiry.
LIFETIMES: Final = {21: 30, 24: 30}
AWAY: Final = START + timedelta(days=13.5)
BACK: Final = AWAY + timedelta(days=7)
HOUR: Final = timedelta(hours=1)
AT_ONCE: Final = 8


class Calm(Random):
    """Randomness in which unlikely events never happen."""

    def random(self) -> float:
        return 0.1 + 0.9 * super().random()


class WeekCa(YearCa):
    """A CA that records the times and names of refused orders."""

    def __init__(self, clock: VirtualClock, random: Random) -> None:
        super().__init__(clock, random, (AWAY, BACK))
        self._now = clock.now
        self.in_vain: list[tuple[datetime, str]] = []
        self.issued_at: dict[str, datetime] = {}

    async def new_order(self, identifiers: Sequence[Identifier], profile: str | None, replaces: str | None) -> Order:
        name = identifiers[0].value
        try:
            order = await super().new_order(identifiers, profile, replaces)
        except OrderError:
            self.in_vain.append((self._now(), name))
            raise
        self.issued_at[name] = self._now()
        return order


class Week:
    """The daemon and its environment."""

    def __init__(self) -> None:
        state, progress = FakeState(), FakeProgress()
        self.clock, random = VirtualClock(START), Random(7)  # noqa: S311 - the same week each time
        names = [f"d{days}-{number}" for days, count in LIFETIMES.items() for number in range(0, 5 * count, 5)]
        identifiers = [dns(f"{name}.{name}.example") for name in names]
        self.lineages = [Lineage(one.value, (one,), directory_urls=(DIRECTORY,)) for one in identifiers]
        self.certificates, self.notifications = FakeCertificates(), FakeNotifications()
        self.ca = WeekCa(self.clock, Calm(7))  # the CA finds nothing wrong with names
        nginx = WorkingNginx(self.certificates, {one.identifiers[0]: one.name for one in self.lineages})
        clock, certificates = self.clock, self.certificates
        limits = Limits(state.ledger, clock, domain_of)
        renewals = Renewals(
            sources=Sources(OneAuthority(self.ca), limits, Throttle(10.0, clock), clock),
            planner=RenewalPlanner(state.schedules, self.ca, clock, progress, random.random),
            records=state,
            attempts=state.attempts,
            delivery_records=state.deliveries,
            responders=WorkingResponders(),
            read_backs=ReadBacks((), nginx, progress, None),
            learned_fetches=LearnedFetches(state.fetch_counts),
            locations=Locations((), nginx, None, clock),
            requests=Requests(certificates, CsrFolder()),
            certificates=certificates,
            nginx=nginx,
            clock=clock,
            progress=progress,
        )
        follow_up = FollowUp(
            state.schedules, state.notes, FakeHooks(), self.notifications, certificates, clock, random.random
        )
        batch = Deliveries(nginx, certificates, state.deliveries, clock, progress, Pace(2.0, 10.0))
        delivery = LocalDelivery(nginx, nginx, certificates, (("127.0.0.1", 443),), batch)
        passes = Passes(renewals, delivery, follow_up, at_once=AT_ONCE)

        async def wake_times(some: Sequence[Lineage]) -> Mapping[str, datetime]:
            names = [one.name for one in some]
            rows = await read_rows(state, names)
            return {one.lineage: one.wake_at for one in statuses(some, certificates.live, rows, clock.now())}

        self.daemon = Daemon(passes, wake_times, clock, self.lineages, held=FakeHeld(), sleep=Sleep(5.0, 3600.0))

    async def run(self) -> None:
        """Run until half a day after the CA is back; discard messages from before the week."""
        asyncio.get_running_loop().call_later((AWAY - START).total_seconds(), self.notifications.reported.clear)
        with suppress(TimeoutError):
            async with asyncio.timeout((BACK - START + 12 * HOUR).total_seconds()):
                await self.daemon.run()


def test_ca_down_for_a_week_gets_few_requests_and_everything_is_renewed_afterwards() -> None:
    async def live() -> Week:
        week = Week()
        await week.run()
        return week

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        week = runner.run(live())
    ca, names = week.ca, {one.name for one in week.lineages}
    # Certificates due at the same time are answered by one attempt, or by as many as ran concurrently.
    by_hour = Counter(int((at - AWAY) / HOUR) for at, _ in ca.in_vain)
    assert max(by_hour.values()) <= AT_ONCE
    assert len(by_hour) > 150
    # The CA is not asked for an hour at most; afterwards certificates wait only for their slot.
    times = sorted(ca.issued_at.values())
    assert set(ca.issued_at) == names
    assert BACK < times[0] < BACK + HOUR
    assert times[-1] < times[0] + timedelta(minutes=5)
    assert min(ca.ends[version] for version in week.certificates.live.values()) > BACK + timedelta(days=20)
    reported = Counter(week.notifications.reported)
    assert set(reported.values()) == {1}
    assert {name for notice, name in reported if notice is Notice.RECOVERY} == {name for _, name in reported}
