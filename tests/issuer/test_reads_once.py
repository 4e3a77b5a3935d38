"""Reads per pass: each step receives what an earlier step has read."""

from collections import Counter
from typing import Final

import pytest

from tests.fakes import FakeClock
from tests.issuer.counting import counted
from tests.issuer.hosts import LINEAGES, Host, make_host, outcomes
from tests.node.nodes import Nodes
from wellkeeper_issuer.outside.state.state import State
from wellkeeper_issuer.reports import Mode, Outcome

_AT_MOST: Final = 28


@pytest.fixture
def calls() -> Counter[str]:
    return Counter()


@pytest.fixture
def watched(state: State, nodes: Nodes, clock: FakeClock, calls: Counter[str]) -> Host:
    """Return a host of one certificate that counts `calls` to the state and to the certificates on disk."""
    host = make_host(
        counted(state, calls, "state"), nodes, clock, lambda folders: counted(folders, calls, "certificates")
    )
    host.nginx.needed = {"a"}
    return host


async def test_first_issuance_makes_at_most_twenty_eight_calls_to_state_and_disk(
    watched: Host, calls: Counter[str]
) -> None:
    reports = await watched.run(LINEAGES[:1], mode=Mode.SCHEDULED)
    assert outcomes(reports) == {"a": Outcome.SERVED}
    assert calls.total() <= _AT_MOST, _listed(calls)


async def test_certificate_that_is_not_due_is_read_once(watched: Host, calls: Counter[str]) -> None:
    await watched.run(LINEAGES[:1])
    calls.clear()
    reports = await watched.run(LINEAGES[:1], mode=Mode.SCHEDULED)
    assert outcomes(reports) == {"a": Outcome.UNCHANGED}
    assert calls == {"state.read_lineage": 1, "certificates.installed": 1}, _listed(calls)


def _listed(calls: Counter[str]) -> str:
    return "\n".join([f"{calls.total()} calls:", *(f"{count} {name}" for name, count in calls.most_common())])
