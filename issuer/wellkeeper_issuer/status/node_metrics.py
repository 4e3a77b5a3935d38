"""Export the status of the other nodes as metrics, as `metrics` does for certificates."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client.core import Metric

from wellkeeper_issuer.fleet.served_on import earliest
from wellkeeper_issuer.status.exposition import gauge

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.node_status import NodeStatus


def of_nodes(nodes: "Sequence[NodeStatus]") -> Iterator[Metric]:
    """Yield the metrics; an unknown value has no sample."""

    def each(name: str, text: str, value: "Callable[[NodeStatus], float | None]") -> Metric:
        found = ((one.name, value(one)) for one in nodes)
        return gauge(f"fleet_node_{name}", text, ["node"], (([node], each) for node, each in found if each is not None))

    yield each("seen_at_seconds", "Time of the node's last report, or at which it joined.", _seen_at)
    yield each("clock_ahead_seconds", "Seconds by which the node's clock is ahead.", lambda one: one.clock_seconds)
    yield each("certificates", "Certificates of the node.", lambda one: one.total)
    yield each(
        "certificates_behind",
        "Certificates that the node does not have in their newest version.",
        lambda one: len(one.behind),
    )
    yield each("behind_since_seconds", "Time since which the node lacks a version.", _behind_since)
    first = {one.name: earliest(one) for one in nodes}
    yield each(
        "served_not_before_seconds",
        "Start of validity of the certificate that expires first among those that the node serves.",
        lambda one: found.not_before.timestamp() if (found := first[one.name]) else None,
    )
    yield each(
        "served_not_after_seconds",
        "Earliest expiry of what the node serves.",
        lambda one: found.not_after.timestamp() if (found := first[one.name]) else None,
    )


def _seen_at(one: "NodeStatus") -> float:
    return (one.seen_at or one.enrolled_at).timestamp()


def _behind_since(one: "NodeStatus") -> float | None:
    return min((each.since.timestamp() for each in one.behind), default=None)
