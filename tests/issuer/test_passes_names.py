"""Certificates of several names of which one is dead."""

from dataclasses import replace

import pytest

from tests.fakes_deliver import dns
from tests.issuer.hosts import Host, outcomes
from wellkeeper_issuer.model import Lineage
from wellkeeper_issuer.reports import Mode, Outcome
from wellkeeper_node.model import ERROR_PREFIX, Problem

A, B, DEAD = dns("a.example"), dns("b.example"), dns("dead.example")
FULL = Lineage("a", (A, DEAD))
GONE = Problem(f"{ERROR_PREFIX}dns", "NXDOMAIN")


@pytest.fixture(autouse=True)
def dead_name(host: Host) -> None:
    host.ca.refused["dead.example"] = GONE
    host.nginx.needed = {"a"}


async def test_other_identifiers_need_not_wait_for_the_failure_of_the_old_ones(host: Host) -> None:
    report = (await host.run([FULL]))["a"]
    assert "it accepted 1 other name: a.example" in str(report.error)
    assert outcomes(await host.run([FULL], mode=Mode.SCHEDULED)) == {"a": Outcome.WAITING}
    assert outcomes(await host.run([replace(FULL, identifiers=(A,))], mode=Mode.SCHEDULED)) == {"a": Outcome.SERVED}
    assert await host.state.schedules.read_failures() == {}


async def test_failures_of_other_identifiers_are_counted_from_one(host: Host) -> None:
    for _ in range(3):
        await host.run([FULL])
    await host.run([replace(FULL, identifiers=(B, DEAD))])
    failure = (await host.state.schedules.read_failures())["a"]
    assert (failure.count, failure.identifiers) == (1, frozenset({B, DEAD}))
    assert failure.refused == frozenset({DEAD})
