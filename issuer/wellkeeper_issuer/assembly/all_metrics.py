"""Write metrics: what the disk shows, and what the daemon counted.

prometheus-client is loaded only when metrics are written.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from wellkeeper_issuer.assembly.build import version

if TYPE_CHECKING:
    from wellkeeper_issuer.fleet.node_status import NodeStatus
    from wellkeeper_issuer.status.activity import Activity
    from wellkeeper_issuer.status.overview import Overview


# Every Prometheus reads this version of the format; the next one differs only in names with other characters than ours.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def recorded(seen: "Overview", nodes: "Sequence[NodeStatus]") -> str:
    """Return the metrics of certificates and nodes."""
    from wellkeeper_issuer.status import exposition, metrics, node_metrics, target_metrics

    of_targets = target_metrics.of_targets(seen.targets)
    return exposition.to_text([*metrics.of_certificates(seen, version()), *of_targets, *node_metrics.of_nodes(nodes)])


def counts(activity: "Activity") -> str:
    """Return the metrics of what this daemon did."""
    from wellkeeper_issuer.status import activity_metrics, exposition

    return exposition.to_text(activity_metrics.of_activity(activity))
