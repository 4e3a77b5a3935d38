"""The read-back's veto over a renewal: its duration, its exceptions and its end."""

from datetime import timedelta

import pytest

from tests.fakes import FakeClock
from tests.fakes_around import FakeAuthorities, FakeInfos
from tests.fakes_certificates import FakeCertificates
from tests.fakes_deliver import dns
from tests.fakes_obtain import BASE, FakeAuthority, FakeProgress, FakeReadBacks, token
from tests.issuer.hosts import RenewalParts, make_renewals, renew
from tests.node.nodes import Nodes
from wellkeeper_issuer.errors import ChallengeError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.vetoes import Vetoes
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.reports import Mode
from wellkeeper_node.errors import PublishError
from wellkeeper_node.steps import Steps

A = dns("a.example")
LINEAGE = Lineage("web", (A,), directory_urls=(f"{BASE}/directory",))
_HOUR = timedelta(hours=1).total_seconds()
_DAY = 24 * _HOUR


class Passes:
    """Renewals of one certificate whose read-back fails until a test changes that."""

    def __init__(self, state: State, nodes: Nodes, clock: FakeClock) -> None:
        self.probes, self.progress, self.ca = FakeReadBacks(), FakeProgress(), FakeAuthority(clock)
        self.probes.causes["n2"] = "no location for it"
        self._nodes = nodes
        self._clock = clock
        parts = RenewalParts(state, nodes, clock, FakeAuthorities(self.ca), FakeInfos())
        self._renewals = make_renewals(parts, FakeCertificates(), self.probes, self.progress)

    def wait(self, seconds: float) -> None:
        self._clock.advance(seconds)
        self._nodes.advance(seconds)

    async def run(self) -> None:
        self.progress.lines.clear()
        await renew(self._renewals, LINEAGE, Steps("web", self._clock, self.progress), Mode.RETRY)

    async def is_vetoed(self) -> bool:
        """Run one pass and check that nothing stays published."""
        reported = len(self.answered)
        try:
            await self.run()
        except PublishError as error:
            text = str(error)
        else:
            return False
        assert "the CA was not asked, because " in text
        assert len(self.answered) == reported
        assert await self._nodes.holding(token(100)) == []
        return True

    @property
    def answered(self) -> list[str]:
        """Return the challenges that the CA was asked to validate."""
        return [call for call in self.ca.calls if call.startswith("answer")]

    @property
    def warnings(self) -> list[str]:
        return [line for line in self.progress.lines if "WARNING" in line]


@pytest.fixture
def passes(state: State, nodes: Nodes, clock: FakeClock) -> Passes:
    return Passes(state, nodes, clock)


async def test_veto_holds_for_a_day_and_then_the_ca_is_asked_with_a_warning(passes: Passes) -> None:
    for _ in range(4):
        assert await passes.is_vetoed()
        passes.wait(_DAY / 4)
    assert not await passes.is_vetoed()
    (line,) = passes.warnings
    assert line.startswith(
        "web WARNING: the read-back failed, the CA is still asked (it has failed for 24 h): node 'n2' at"
    )
    assert passes.ca.calls.count("newOrder") == 1


async def test_veto_still_holds_a_moment_before_the_day_is_over(passes: Passes) -> None:
    assert await passes.is_vetoed()
    passes.wait(_DAY - 1)
    assert await passes.is_vetoed()


async def test_refusing_ca_is_asked_only_once_per_day(passes: Passes) -> None:
    passes.ca.refused["a.example"] = None
    assert await passes.is_vetoed()
    for _ in range(2):
        passes.wait(_DAY)
        with pytest.raises(ChallengeError):
            await passes.run()
        assert await passes.is_vetoed()
        passes.wait(_DAY - 1)
        assert await passes.is_vetoed()
        passes.wait(1 - _DAY)
    assert len(passes.answered) == 2


async def test_successful_read_back_ends_the_veto(passes: Passes) -> None:
    """Count the next veto from its own start."""
    passes.ca.refused["a.example"] = None
    assert await passes.is_vetoed()
    passes.wait(_DAY / 2)
    causes = dict(passes.probes.causes)
    passes.probes.causes.clear()
    with pytest.raises(ChallengeError):
        await passes.run()
    passes.probes.causes.update(causes)
    passes.wait(_DAY / 2)
    assert await passes.is_vetoed()
    passes.wait(_DAY - 1)
    assert await passes.is_vetoed()


async def test_obtained_certificate_ends_the_veto(passes: Passes) -> None:
    assert await passes.is_vetoed()
    passes.wait(_DAY)
    assert not await passes.is_vetoed()
    passes.wait(_DAY)
    assert await passes.is_vetoed()


@pytest.mark.parametrize(("days_left", "is_vetoed"), [(9.1, True), (8.9, False), (-1, False)])
async def test_ca_is_asked_at_once_below_a_tenth_of_the_lifetime(
    passes: Passes, days_left: float, is_vetoed: bool
) -> None:
    await _obtain(passes)
    passes.wait((90 - days_left) * _DAY)
    assert await passes.is_vetoed() is is_vetoed
    assert [("(less than a tenth of the lifetime is left)" in line) for line in passes.warnings] == [True] * (
        not is_vetoed
    )


async def test_veto_ends_when_the_lifetime_falls_below_a_tenth(passes: Passes) -> None:
    await _obtain(passes)
    passes.wait(80.8 * _DAY)
    assert await passes.is_vetoed()
    passes.wait(0.3 * _DAY)
    assert not await passes.is_vetoed()


async def test_refusing_ca_is_asked_once_per_day_below_a_tenth_too(passes: Passes) -> None:
    await _obtain(passes)
    passes.ca.refused["a.example"] = None
    passes.wait(85 * _DAY)
    with pytest.raises(ChallengeError):
        await passes.run()
    passes.wait(_HOUR)
    assert await passes.is_vetoed()
    passes.wait(23 * _HOUR)
    with pytest.raises(ChallengeError):
        await passes.run()


async def test_clock_set_back_does_not_prolong_the_veto(state: State, clock: FakeClock) -> None:
    vetoes = Vetoes(state.vetoes, clock)
    for step in (10 * _DAY, -10 * _DAY):
        clock.step(step)
        with pytest.raises(PublishError):
            await vetoes.hold("web", {"n1"}, PublishError("no location for it"), None)
    clock.advance(_DAY)
    assert await vetoes.hold("web", {"n1"}, PublishError("no location for it"), None) == "it has failed for 24 h"


async def test_day_of_each_node_begins_with_its_own_failure(passes: Passes) -> None:
    assert await passes.is_vetoed()
    passes.wait(_DAY - _HOUR)
    passes.probes.causes["n1"] = passes.probes.causes.pop("n2")
    assert await passes.is_vetoed()
    passes.wait(_HOUR)
    assert await passes.is_vetoed()
    passes.wait(_DAY - _HOUR)
    assert not await passes.is_vetoed()


async def test_node_that_recovers_does_not_hold_the_others_back(passes: Passes) -> None:
    assert await passes.is_vetoed()
    passes.wait(_DAY - _HOUR)
    passes.probes.causes["n1"] = "no location for it either"
    assert await passes.is_vetoed()
    passes.wait(_HOUR)
    assert await passes.is_vetoed()
    del passes.probes.causes["n1"]
    assert not await passes.is_vetoed()


async def test_nodes_that_fail_alternately_hold_the_ca_back_for_three_days_at_most(passes: Passes) -> None:
    for _ in range(4):
        assert await passes.is_vetoed()
        passes.wait(18 * _HOUR)
        failing = "n1" if "n2" in passes.probes.causes else "n2"
        passes.probes.causes = {failing: "no location for it"}
    assert not await passes.is_vetoed()


async def test_veto_of_a_version_that_did_not_tell_nodes_apart_goes_on(state: State, clock: FakeClock) -> None:
    await state.vetoes.record_vetoes("web", {"": clock.now() + timedelta(hours=1)})
    vetoes = Vetoes(state.vetoes, clock)
    with pytest.raises(PublishError):
        await vetoes.hold("web", {"n1"}, PublishError("no location for it"), None)
    clock.advance(_HOUR)
    assert await vetoes.hold("web", {"n1"}, PublishError("no location for it"), None)


async def test_ca_is_asked_once_per_day_even_if_another_node_fails_each_time(passes: Passes) -> None:
    await _obtain(passes)
    passes.ca.refused["a.example"] = None
    passes.wait(85 * _DAY)
    with pytest.raises(ChallengeError):
        await passes.run()
    passes.wait(_HOUR)
    passes.probes.causes["n1"] = passes.probes.causes.pop("n2")
    assert await passes.is_vetoed()
    passes.wait(23 * _HOUR)
    with pytest.raises(ChallengeError):
        await passes.run()


async def _obtain(passes: Passes) -> None:
    causes = dict(passes.probes.causes)
    passes.probes.causes.clear()
    await passes.run()
    passes.probes.causes.update(causes)
