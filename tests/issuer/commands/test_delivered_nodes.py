"""Nodes that have a delivered certificate, and those that lack it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from tests.fakes import FakeClock
from wellkeeper_issuer.commands.delivered_nodes import Nodes, await_nodes
from wellkeeper_issuer.fleet.node_status import Behind, NodeStatus

NOW = FakeClock().now()
CURRENT = NodeStatus("web1", True, NOW, NOW, "1", 0.0, total=1, current=1, behind=(), concern=None)
LATE = replace(CURRENT, name="web2", current=0, behind=(Behind("web", NOW, "it comes"),))
AWAY = replace(LATE, name="web3", seen_at=NOW - timedelta(minutes=9), behind=(Behind("web", NOW, "not seen"),))
OTHER = replace(LATE, name="web4", lineages=("mail",))


class Statuses:
    """The statuses that are read one after another; the last one stays."""

    def __init__(self, *following: Sequence[NodeStatus]) -> None:
        self._following = list(following)

    async def read(self) -> Sequence[NodeStatus]:
        return self._following.pop(0) if len(self._following) > 1 else self._following[0]


async def test_nodes_that_report_are_waited_for_and_those_that_are_away_are_named() -> None:
    clock, late = FakeClock(), [CURRENT, LATE, AWAY, OTHER]
    statuses = Statuses(late, late, [CURRENT, replace(LATE, behind=()), AWAY, OTHER])
    assert await await_nodes("web", statuses.read, clock) == Nodes(3, {"web3": "not seen"})
    assert clock.now() - NOW == timedelta(seconds=1)


async def test_node_that_stays_behind_is_named_after_half_a_minute() -> None:
    clock = FakeClock()
    assert await await_nodes("web", Statuses([LATE]).read, clock) == Nodes(1, {"web2": "it comes"})
    assert clock.now() - NOW == timedelta(seconds=30)


def test_nodes_that_lack_it_are_named_with_the_cause() -> None:
    assert Nodes().to_text() == ""
    assert Nodes(3, {"web2": "nginx refuses it"}).to_text() == "  on 2 of 3 other nodes\n  node web2: nginx refuses it"
