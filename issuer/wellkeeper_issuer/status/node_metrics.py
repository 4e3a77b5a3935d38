"""Format the status of the other nodes for Prometheus, as `metrics` does for certificates."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wellkeeper_issuer.status.metrics import gauge

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.node_status import NodeStatus


def to_prometheus(nodes: "Sequence[NodeStatus]") -> str:
    """Return all gauges; an unknown value has no line."""
    named = [({"node": one.name}, one) for one in nodes]
    parts = (
        gauge(
            "fleet_node_seen_at_seconds",
            "Time of the node's last report, or at which it joined.",
            ((labels, (one.seen_at or one.enrolled_at).timestamp()) for labels, one in named),
        ),
        gauge(
            "fleet_node_clock_ahead_seconds",
            "Seconds by which the node's clock is ahead.",
            ((labels, one.clock_seconds) for labels, one in named if one.clock_seconds is not None),
        ),
        gauge("fleet_node_certificates", "Certificates of the node.", ((labels, one.total) for labels, one in named)),
        gauge(
            "fleet_node_certificates_behind",
            "Certificates that the node does not have in their newest version.",
            ((labels, len(one.behind)) for labels, one in named),
        ),
        gauge(
            "fleet_node_behind_since_seconds",
            "Time since which the node lacks a version.",
            ((labels, min(each.since.timestamp() for each in one.behind)) for labels, one in named if one.behind),
        ),
    )
    return "".join(line for part in parts for line in part)
