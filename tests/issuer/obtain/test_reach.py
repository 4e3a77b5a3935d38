"""reach: a certificate waits for its challenge locations, without an order."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.fakes import FakeClock
from tests.fakes_deliver import dns
from tests.fakes_state import FakeVetoes
from wellkeeper_issuer.errors import DeferredError
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.obtain.reach import TOKEN, Locations
from wellkeeper_node.model import Answer, Certificate, Identifier, KeyAlgorithm, Node, ReadBack

LINEAGE = Lineage("web", (dns("a.example"), dns("b.example")))
NODE = Node("local", "unix:/c", (("127.0.0.1", 80),), ())
HINT = ReadBack("local", "http://a.example/x", "127.0.0.1:80", 404, "it is not included", "Include it.", True)


class Probes:
    """Answers for each name with `answers`, or that the token is unknown."""

    def __init__(self) -> None:
        self.answers: dict[str, ReadBack] = {}
        self.asked: list[Answer] = []

    async def read_back(self, node: Node, answer: Answer) -> tuple[ReadBack, ...]:
        self.asked.append(answer)
        unknown = ReadBack(node.name, "http://…", "127.0.0.1:80", 404, "the responder lacks the token")
        return (self.answers.get(answer.identifier.value, unknown),)

    async def handshake(
        self,
        _address: tuple[str, int],
        _identifier: Identifier,
        _key: KeyAlgorithm | None = None,
        _speaks_proxy_protocol: bool | None = None,
    ) -> Certificate | None:
        return None


@pytest.fixture
def probes() -> Probes:
    return Probes()


class CountedVetoes(FakeVetoes):
    """Counts the writes, each of which the disk must confirm."""

    writes = 0

    async def record_vetoes(self, lineage: str, asks_at: Mapping[str, datetime]) -> None:
        self.writes += 1
        await super().record_vetoes(lineage, asks_at)


@pytest.fixture
def vetoes() -> CountedVetoes:
    return CountedVetoes()


@pytest.fixture
def locations(probes: Probes, vetoes: FakeVetoes, clock: FakeClock) -> Locations:
    return Locations([NODE], probes, vetoes, clock)


async def test_locations_of_all_names_let_the_order_begin(locations: Locations, probes: Probes) -> None:
    await locations.reach(LINEAGE)
    assert [(one.token, one.identifier.value) for one in probes.asked] == [(TOKEN, "a.example"), (TOKEN, "b.example")]


async def test_name_without_a_location_waits_with_the_cause_and_the_remedy(
    locations: Locations, probes: Probes, clock: FakeClock
) -> None:
    probes.answers = {"a.example": HINT, "b.example": HINT}
    with pytest.raises(DeferredError) as raised:
        await locations.reach(LINEAGE)
    assert raised.value.lines == (
        "nginx does not answer challenges yet",
        "http://a.example/x gave HTTP 404 at 127.0.0.1:80: it is not included (and 1 other answer)",
        "Include it.",
    )
    assert raised.value.retry_at == clock.now() + timedelta(seconds=4)


async def test_name_is_looked_at_soon_at_first_and_then_every_half_minute(
    locations: Locations, probes: Probes, clock: FakeClock
) -> None:
    probes.answers = {"a.example": HINT}
    pauses = []
    for _ in range(6):
        with pytest.raises(DeferredError) as raised:
            await locations.reach(LINEAGE)
        assert raised.value.retry_at is not None
        pauses.append((raised.value.retry_at - clock.now()).total_seconds())
        clock.advance(pauses[-1])
    assert pauses == [4, 4, 8, 16, 30, 30]


async def test_address_that_does_not_answer_has_no_status(locations: Locations, probes: Probes) -> None:
    probes.answers = {"a.example": replace(HINT, status=None, cause="connection refused")}
    with pytest.raises(DeferredError) as raised:
        await locations.reach(LINEAGE)
    assert raised.value.why == "http://a.example/x did not answer at 127.0.0.1:80: connection refused"


async def test_cause_is_logged_once_until_it_changes(
    locations: Locations, probes: Probes, caplog: pytest.LogCaptureFixture
) -> None:
    causes = ["one", "one", "two"]
    with caplog.at_level(logging.INFO):
        for cause in causes:
            probes.answers = {"a.example": replace(HINT, cause=cause)}
            with pytest.raises(DeferredError):
                await locations.reach(LINEAGE)
    assert [": one" in line or ": two" in line for line in caplog.messages] == [True, True]


async def test_ca_is_asked_after_a_day_in_case_the_check_is_wrong(
    locations: Locations, probes: Probes, vetoes: FakeVetoes, clock: FakeClock
) -> None:
    probes.answers = {"a.example": HINT}
    with pytest.raises(DeferredError):
        await locations.reach(LINEAGE)
    assert vetoes.vetoes["web"]["local"] == clock.now() + timedelta(hours=24)
    clock.advance(23 * 3600)
    with pytest.raises(DeferredError):
        await locations.reach(LINEAGE)
    clock.advance(3600)
    await locations.reach(LINEAGE)


async def test_veto_is_written_once_unless_the_clock_is_set_back(
    locations: Locations, probes: Probes, vetoes: CountedVetoes, clock: FakeClock
) -> None:
    probes.answers = {"a.example": HINT}
    found = []
    for seconds in (0, 30, 30, -3600, 30):
        clock.step(seconds)
        with pytest.raises(DeferredError):
            await locations.reach(LINEAGE)
        found.append(vetoes.writes)
    assert found == [1, 1, 1, 2, 2]


async def test_nothing_waits_when_read_backs_are_advisory(probes: Probes, clock: FakeClock) -> None:
    probes.answers = {"a.example": HINT}
    await Locations([NODE], probes, None, clock).reach(LINEAGE)
    assert probes.asked == []
